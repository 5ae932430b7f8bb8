/**
 * Carrying out one step of a plan: the account of one occurrence, and its message.
 *
 * send:  `intent` (only where there is none) → the message into the mailbox, under a key made from the occurrence → `sent` with its place
 * else:  `skipped`, `missed` or `waiting`, only where there is none
 *
 * Where it may die, and why that is safe (L1 to L3 are those of runtime/schedules/ledger.ts)
 * 1. Before `intent` is stored: nothing happened; whoever looks next begins anew.
 * 2. After `intent`, before the message is stored: whoever looks next finds `intent` and goes on from there.
 * 3. After the message is stored, before `sent`: the same; publishing again stores nothing within the dedupe window. Beyond it, or where a
 *    killed server has forgotten the key, a second copy is stored; but only one of them becomes `sent` (L2), whoever
 *    writes that first: this timer, another, or the worker that has a copy in its hands. The others are ended unrun.
 *    Where the run has ended by then, its entry says so, and nothing is published at all.
 * 4. After `sent`: the occurrence is accounted for, whatever becomes of the record and the tick.
 * 5. An ack that does not come leaves it open whether the message was stored. It is not repeated blindly: the ledger is read again first,
 *    in the next look, since the message may have run and ended meanwhile.
 *
 * The ledger has the last word. Who finds an entry that says otherwise than his plan takes it as it is: an occurrence that is being sent is
 * sent, one that was skipped stays skipped. Only a backfill sends what was skipped or missed.
 */
import { JetStreamError } from '../../runtime/broker/api.ts'
import type { Broker } from '../../runtime/broker/broker.ts'
import { PayloadError, toError } from '../../runtime/errors.ts'
import type { Step } from '../../runtime/schedules/admission.ts'
import type { Done } from '../../runtime/schedules/carried.ts'
import { addEntry, readAccount, type Account, type Entry, type Place } from '../../runtime/schedules/ledger.ts'
import { formatMoment } from '../../runtime/schedules/moments.ts'
import { occurrenceId, occurrenceMessage } from '../../runtime/schedules/occurrenceMessage.ts'
import type { Occurrence } from '../../runtime/schedules/record.ts'
import type { StoredSend } from '../../runtime/schedules/send.ts'
import { formatPlanned } from '../../runtime/time/planned.ts'

/** What all steps of one look share. */
export interface LookScope {
  readonly broker: Broker
  readonly actor: string
  readonly schedule: string
  readonly send: StoredSend
  /** The word in the keys of what timers put into the mailbox. */
  readonly salt: string
  readonly writer: string
  /** Whether timers look again as soon as a run has ended. */
  readonly wake: boolean
  /** The mailbox has refused so often that the occurrence is given up. */
  readonly isHopeless: boolean
  /** Epoch ms by the server's clock. */
  now(): number
  /** Planned time of the run before, as it stands now. */
  last: number | undefined
}

/** The mailbox did not take it: full, or a refusal that will not change. */
export class Refused extends Error {
  readonly isFinal: boolean
  constructor(cause: Error, isFinal: boolean) {
    super(cause.message, { cause })
    this.isFinal = isFinal
  }
}

/** Others may write the same account meanwhile; each round means that somebody got on. */
const MAX_ROUNDS = 20
/** Runs that were asked for and fell on one microsecond. */
const MAX_SHIFTS = 100
const AWAY_MS = 2_000

/** Carries out one step. Throws `Refused`, or what the broker throws: then the whole look is made again. */
export async function account(scope: LookScope, step: Step): Promise<Done> {
  let { occurrence } = step
  for (let shift = 0; shift < MAX_SHIFTS; shift++) {
    const done = await accountAt(scope, step, occurrence)
    if (done !== undefined) return done
    occurrence = { ...occurrence, planned: occurrence.planned + 0.001 }
  }
  throw new Error(`${MAX_SHIFTS} runs of ${scope.schedule} were asked for in one moment`)
}

/** Undefined: something else that was asked for has this very microsecond. */
async function accountAt(scope: LookScope, step: Step, occurrence: Occurrence): Promise<Done | undefined> {
  const place = { actor: scope.actor, schedule: scope.schedule, planned: occurrence.planned }
  let known: Account | undefined
  for (let round = 0; round < MAX_ROUNDS; round++) {
    if (known !== undefined && known.entry.key !== occurrence.key) return undefined
    const settled = known && standing(step, occurrence, known.entry)
    if (settled !== undefined) return settled
    const done =
      step.kind === 'send' || known?.entry.step === 'intent'
        ? await send(scope, step, occurrence, place, known)
        : await note(scope, step, occurrence, place, known)
    if (done !== undefined) return done
    known = await readAccount(scope.broker, place)
  }
  throw new Error(`the account of ${occurrenceId(scope.schedule, occurrence.planned)} changed ${MAX_ROUNDS} times`)
}

/** What an entry that stands there leaves nothing to do about. */
function standing(step: Step, occurrence: Occurrence, entry: Entry): Done | undefined {
  const isRefilled = occurrence.by === 'backfill' && step.kind === 'send'
  // A range meets what was accounted for by itself, and not by the range.
  const isOthers = (isRefilled || occurrence.by === 'catchUp') && entry.by !== occurrence.by
  switch (entry.step) {
    case 'sent':
      if (isOthers || isRefilled) return result(step, 'known', occurrence)
      return { ...result(step, 'sent', occurrence), runningSince: sentAt(entry) }
    case 'ended':
      return result(step, isOthers || isRefilled ? 'known' : 'sent', occurrence)
    case 'skipped':
    case 'missed':
      if (isRefilled) return undefined
      return isOthers ? result(step, 'known', occurrence) : result(step, entry.step, occurrence, entry.count)
    case 'waiting':
      return step.kind === 'wait' ? result(step, 'waiting', occurrence) : undefined
    case 'intent':
      return undefined
    default:
      return entry.step satisfies never
  }
}

async function send(
  scope: LookScope,
  step: Step,
  occurrence: Occurrence,
  place: Place,
  known: Account | undefined,
): Promise<Done | undefined> {
  const intent = known?.entry.step === 'intent' ? known : await intend(scope, occurrence, place, known)
  if (intent === undefined) return undefined
  const stored = await publish(scope, place).catch((error: unknown) => {
    if (error instanceof Refused && (error.isFinal || scope.isHopeless || step.kind !== 'send')) return error
    throw error
  })
  if (stored instanceof Refused) return giveUp(scope, step, occurrence, place, intent, stored)
  const at = formatMoment(scope.now())
  const entry: Entry = {
    ...intent.entry,
    step: 'sent',
    at,
    writer: scope.writer,
    ...(scope.wake ? { wake: true as const } : {}),
    sent: { at, sequence: stored },
  }
  if ((await addEntry(scope.broker, place, entry, intent.sequence)) === undefined) return undefined
  scope.last = occurrence.planned
  return { ...result(step, 'sent', occurrence), runningSince: Date.parse(at) }
}

async function intend(
  scope: LookScope,
  occurrence: Occurrence,
  place: Place,
  known: Account | undefined,
): Promise<Account | undefined> {
  const entry: Entry = {
    ...base(scope, occurrence, 'intent'),
    message: scope.send.message,
    id: occurrenceId(scope.schedule, occurrence.planned),
    ...(scope.last === undefined ? {} : { previous: formatPlanned(scope.last) }),
    ...(scope.wake ? { wake: true as const } : {}),
  }
  const sequence = await addEntry(scope.broker, place, entry, known?.sequence ?? 0)
  return sequence === undefined ? undefined : { entry, sequence }
}

/** Puts the message into the mailbox and returns its place there. */
async function publish(scope: LookScope, { schedule, planned }: Place): Promise<number> {
  const { broker, actor, send: sends, salt } = scope
  const { subjects, publisher } = broker
  const { payload, headers } = occurrenceMessage({ schedule, planned }, sends, salt, { at: planned, now: scope.now() })
  try {
    const { sequence } = await publisher.publish({
      subject: subjects.message(actor, sends.message, sends.options?.lane),
      payload,
      headers,
      stream: subjects.mailboxStream(actor),
      // Rule 5 of the head.
      repeatMs: 0,
      awayMs: AWAY_MS,
    })
    return sequence
  } catch (thrown) {
    const error = toError(thrown)
    if (error instanceof PayloadError) throw new Refused(error, true)
    if (error instanceof JetStreamError && error.refusal === 'refused') throw new Refused(error, true)
    if (error instanceof JetStreamError && error.refusal === 'full') throw new Refused(error, false)
    throw error
  }
}

/** The mailbox said that it did not store it. If an earlier copy is there all the same, it is ended unrun (L2). */
async function giveUp(
  scope: LookScope,
  step: Step,
  occurrence: Occurrence,
  place: Place,
  intent: Account,
  { message }: Refused,
): Promise<Done | undefined> {
  const reason = step.kind === 'skip' || step.kind === 'miss' ? step.reason : `the mailbox does not take it: ${message}`
  const entry: Entry = { ...intent.entry, ...base(scope, occurrence, 'missed'), reason }
  const added = await addEntry(scope.broker, place, entry, intent.sequence)
  return added === undefined ? undefined : result(step, 'missed', occurrence)
}

/** `skipped`, `missed`, `waiting`. */
async function note(
  scope: LookScope,
  step: Exclude<Step, { kind: 'send' }>,
  occurrence: Occurrence,
  place: Place,
  known: Account | undefined,
): Promise<Done | undefined> {
  const [word, more] = noted(step)
  const entry: Entry = { ...base(scope, occurrence, word), ...more }
  const added = await addEntry(scope.broker, place, entry, known?.sequence ?? 0)
  return added === undefined ? undefined : result(step, word, occurrence, more.count)
}

function noted(
  step: Exclude<Step, { kind: 'send' }>,
): ['waiting' | 'skipped' | 'missed', Pick<Entry, 'reason' | 'until' | 'count'>] {
  switch (step.kind) {
    case 'wait':
      return ['waiting', {}]
    case 'skip':
      return ['skipped', { reason: step.reason }]
    case 'miss':
      return ['missed', { reason: step.reason }]
    case 'missMany':
      return ['missed', { reason: step.reason, until: formatMoment(step.until), count: step.count }]
    default:
      return step satisfies never
  }
}

function base(scope: LookScope, { planned, by, key, cause }: Occurrence, step: Entry['step']): Entry {
  return {
    step,
    planned: formatPlanned(planned),
    by,
    at: formatMoment(scope.now()),
    writer: scope.writer,
    ...(key === undefined ? {} : { key }),
    ...(cause === undefined ? {} : { cause }),
  }
}

function result(step: Step, word: Done['result'], occurrence: Occurrence, count = 1): Done {
  return { step, result: word, occurrence, runningSince: undefined, count }
}

function sentAt({ sent, at }: Entry): number {
  return Date.parse(sent?.at ?? at)
}
