/**
 * Which runs of a schedule have ended. The ledger says it, for all workers that keep accounts; and where they are of another language and
 * need not keep any, a run goes on as long as its message is somewhere:
 *
 *     mailbox, <s> ──▶ parked, retry.<s> ──▶ released, due.retry.<s> ──▶ mailbox, <s2> ──▶ parked, retry.<s2> …
 *
 * Each place is stored before the one behind it is left, so who looks in this order misses nothing, but the last step: the place in
 * the mailbox has a number that nobody can guess. The timer that puts a retry there writes it into the entry `sent` before it acks
 * (`moved`), and who has found all places empty reads the entry again.
 *
 * Where it may die, and why that is safe: after the retry is stored, before the entry says where: it is still in the queue of what
 * was released, so it counts as running; whoever gets it again stores it under the same key, is told its place, and writes it.
 */
import type { ActorSpec } from '../../runtime/actor.ts'
import type { Broker } from '../../runtime/broker/broker.ts'
import type { Placed } from '../../runtime/broker/delivery.ts'
import { H } from '../../runtime/broker/headers.ts'
import { addEntry, readAccount, type Account, type Entry, type Place } from '../../runtime/schedules/ledger.ts'
import { isProven, readClaim } from '../../runtime/schedules/occurrenceMessage.ts'
import type { Ended } from '../../runtime/schedules/planner.ts'
import type { ScheduleRecord } from '../../runtime/schedules/record.ts'

/** Others may write the same account meanwhile; each round means that somebody got on. */
const MAX_ROUNDS = 20

/** Those of the runs in a record that have ended by now, by their planned times. */
export async function endsOf(
  broker: Broker,
  spec: ActorSpec,
  schedule: string,
  { state }: ScheduleRecord,
): Promise<Map<number, Ended>> {
  const ends = new Map<number, Ended>()
  await Promise.all(
    state.running.map(async ({ planned }) => {
      const end = await endOf(broker, spec, { actor: spec.name, schedule, planned })
      if (end !== undefined) ends.set(planned, end)
    }),
  )
  return ends
}

async function endOf(broker: Broker, { isElsewhere }: ActorSpec, place: Place): Promise<Ended | undefined> {
  let known = await readAccount(broker, place)
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const end = endIn(known)
    if (end !== undefined || known === undefined || !isElsewhere) return end
    if (await isSomewhere(broker, place, known)) return undefined
    const now = await readAccount(broker, place)
    if (now?.sequence === known.sequence) return 'gone'
    known = now
  }
  return undefined
}

/** What an account says of the end of its run; undefined: nothing yet. */
function endIn(account: Account | undefined): Ended | undefined {
  if (account === undefined) return 'gone'
  const { step, outcome } = account.entry
  if (outcome?.status === 'lost') return 'gone'
  return step === 'ended' ? outcome?.status : undefined
}

/** Whether the message of a run is where it was sent to, or its retry on the way back there. */
async function isSomewhere({ api, subjects }: Broker, { actor }: Place, { entry }: Account): Promise<boolean> {
  const { sent, id } = entry
  if (sent === undefined || id === undefined) return true
  const [mailbox, timer] = [subjects.mailboxStream(actor), subjects.timerStream(actor)]
  const { sequence } = sent
  if ((await api.readMessage(mailbox, { seq: sequence })) !== undefined) return true
  for (const subject of [subjects.parkedRetry(actor, id, sequence), subjects.dueRetry(actor, sequence)])
    if ((await api.readMessage(timer, { last_by_subj: subject })) !== undefined) return true
  return false
}

/** Writes down that the retry of a run is in the mailbox again, and where. Nothing, for a message that no schedule made. */
export async function moved(
  broker: Broker,
  actor: string,
  salt: string,
  { headers }: Pick<Placed, 'headers'>,
  sequence: number,
): Promise<void> {
  const claim = readClaim(headers.get(H.schedule))
  if (claim === undefined || !isProven(salt, claim, headers.get(H.proof))) return
  const place = { actor, ...claim }
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const known = await readAccount(broker, place)
    if (known === undefined || !isOpen(known.entry) || known.entry.sent?.sequence === sequence) return
    const sent = { at: known.entry.at, ...known.entry.sent, sequence }
    if ((await addEntry(broker, place, { ...known.entry, step: 'sent', sent }, known.sequence)) !== undefined) return
  }
  throw new Error(`the account of ${headers.get(H.schedule)} changed ${MAX_ROUNDS} times`)
}

/** Whether a run is to be followed. Where the timer that sent it has not got as far as saying so, its retry says that it was sent. */
function isOpen({ step }: Entry): boolean {
  return step === 'intent' || step === 'waiting' || step === 'sent'
}
