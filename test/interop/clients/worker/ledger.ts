/** The accounts of schedules, as a worker keeps them: PROTOCOL.md, "Messages of schedules". */
import { createHmac } from 'node:crypto'

import type { Headers } from '../../scenario/client.ts'
import type { Wire } from '../wire.ts'
import { readStored } from './assets.ts'
import { originOf, type Delivery, type Message } from './message.ts'
import { store } from './words.ts'

/** One entry; members that are not known here are carried along. */
interface Entry {
  readonly step: string
  readonly wake?: boolean
  readonly sent?: { readonly at: string; readonly sequence: number }
  readonly outcome?: { readonly status: string; readonly place: string }
}

interface Account {
  readonly entry: Entry
  readonly seq: number
}

export interface LedgerPlace {
  readonly namespace: string
  readonly actor: string
  /** Named in what is written. */
  readonly name: string
  /** The timer stream's. */
  readonly salt: string
}

const WRONG_LAST_SEQUENCE = 10071
const CLAIM = /^([a-zA-Z0-9_-]{1,128})@(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?Z)$/

/** The schedule of a message and its subject in the ledger; undefined where it has none, or where no timer of the actor made it. */
export function claimOf(
  headers: Headers,
  place: LedgerPlace,
): { schedule: string; planned: string; subject: string } | undefined {
  const value = headers['Troupe-Schedule'] ?? ''
  const [, schedule, planned = ''] = CLAIM.exec(value) ?? []
  const proof = createHmac('sha256', place.salt).update(value).digest('base64url').slice(0, 27)
  if (schedule === undefined || headers['Troupe-Proof'] !== proof) return undefined
  const token = planned.replaceAll(/[-:]/g, '').replace('.', ',')
  return { schedule, planned, subject: `${place.namespace}.ledger.${place.actor}.${schedule}.${token}` }
}

/** Whether the account leaves this delivery nothing to do. Where its timer had not come to it, it is marked as sent, here. */
export async function isOver(wire: Wire, message: Message, delivery: Delivery, place: LedgerPlace): Promise<boolean> {
  const claim = claimOf(message.headers, place)
  if (claim === undefined) return false
  for (;;) {
    const account = await read(wire, place, claim.subject)
    if (account === undefined) return false
    const { entry } = account
    if (entry.step === 'intent' || entry.step === 'waiting') {
      const sent = { at: now(), sequence: delivery.sequence }
      if (await add(wire, place, claim.subject, { ...entry, step: 'sent', sent }, account.seq)) return false
    } else {
      return isDone(entry, message, delivery)
    }
  }
}

function isDone({ step, sent, outcome }: Entry, { headers }: Message, delivery: Delivery): boolean {
  if (step === 'ended') return outcome?.status === 'done' || outcome?.place === originOf(delivery)
  if (step === 'sent') return headers['Troupe-Origin'] === undefined && sent?.sequence !== delivery.sequence
  return true
}

/** Writes how a message ended: after its outcome is kept, before its ack. */
export async function account(
  wire: Wire,
  message: Message,
  delivery: Delivery,
  place: LedgerPlace,
  ends: { readonly status: string } & Record<string, unknown>,
): Promise<void> {
  const claim = claimOf(message.headers, place)
  if (claim === undefined) return
  for (;;) {
    const found = await read(wire, place, claim.subject)
    if (found === undefined || isDone(found.entry, message, delivery)) return
    const outcome = { ...ends, at: now(), place: originOf(delivery) }
    if (!(await add(wire, place, claim.subject, { ...found.entry, step: 'ended', outcome }, found.seq))) continue
    if (found.entry.wake === true) await wake(wire, place, claim)
    return
  }
}

/** Somebody waits for the end of this run: timers look at the schedule now. */
async function wake(
  wire: Wire,
  { namespace, actor }: LedgerPlace,
  { schedule, planned }: { schedule: string; planned: string },
): Promise<void> {
  const headers = {
    'Troupe-Id': schedule,
    'Troupe-Due': String(Date.now()),
    'Nats-Msg-Id': `wake:${schedule}:${Date.parse(planned)}`,
  }
  const subject = `${namespace}.timer.due.${actor}.tick.${schedule}`
  await store(wire, `${namespace}-timer-${actor}`, { subject, headers }, Buffer.alloc(0))
}

async function read(wire: Wire, { namespace }: LedgerPlace, subject: string): Promise<Account | undefined> {
  const found = await readStored(wire, `${namespace}-ledger`, { last_by_subj: subject })
  if (found === undefined) return undefined
  return { entry: JSON.parse(Buffer.from(found.data ?? '', 'base64').toString()) as Entry, seq: found.seq }
}

/** Behind the entry that was read; false where another stands there by now. */
async function add(
  wire: Wire,
  { namespace, name }: LedgerPlace,
  subject: string,
  entry: Entry,
  behind: number,
): Promise<boolean> {
  const headers = { 'Nats-Expected-Last-Subject-Sequence': String(behind) }
  const body = Buffer.from(JSON.stringify({ ...entry, at: now(), writer: name }))
  try {
    await store(wire, `${namespace}-ledger`, { subject, headers }, body)
    return true
  } catch (error) {
    if ((error as { code?: number }).code === WRONG_LAST_SEQUENCE) return false
    throw error
  }
}

/** RFC 3339, without fractions where there are none. */
function now(): string {
  return new Date().toISOString().replace('.000Z', 'Z')
}
