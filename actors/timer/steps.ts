/**
 * Carrying out a plan: runs that are given up, runs that are cancelled, then its steps (account.ts). What is only noted is written together;
 * what is sent goes one by one, since each names the one before. Who dies in between has the tick again: whoever makes the same plan
 * finds in the ledger what was done. To give up or cancel a run once more changes nothing: its account says so, the cancel has the same key.
 */
import { encodeHeaders, H } from '../../runtime/broker/headers.ts'
import type { Done } from '../../runtime/schedules/carried.ts'
import { addEntry, readAccount } from '../../runtime/schedules/ledger.ts'
import { formatMoment } from '../../runtime/schedules/moments.ts'
import { occurrenceId } from '../../runtime/schedules/occurrenceMessage.ts'
import type { Plan } from '../../runtime/schedules/planner.ts'
import { account, type LookScope } from './account.ts'

/** Missed and skipped ones that are written at once. */
const WINDOW = 100
const REPEAT_MS = 60_000

/** Carries out a plan, and says what each of its steps came to. Throws as `account`. */
export async function carryOut(scope: LookScope, { steps, cancel, lost }: Plan): Promise<Done[]> {
  for (const planned of lost) await giveUp(scope, planned)
  for (const planned of cancel) await cancelRun(scope, planned)
  const done: Done[] = []
  for (let start = 0; start < steps.length;) {
    // What is only noted goes together; what is sent goes in order, since each names the one before.
    const end = steps[start]?.kind === 'send' ? start + 1 : firstSend(steps, start)
    const some = steps.slice(start, Math.min(end, start + WINDOW))
    done.push(...(await Promise.all(some.map((step) => account(scope, step)))))
    start += some.length
  }
  return done
}

/** No outcome came for so long that the run counts as ended; one that comes later is written over this. */
async function giveUp(scope: LookScope, planned: number): Promise<void> {
  const { broker, actor, schedule, writer } = scope
  const place = { actor, schedule, planned }
  const known = await readAccount(broker, place)
  if (known === undefined || known.entry.step === 'ended') return
  const at = formatMoment(scope.now())
  const outcome = { status: 'lost' as const, at, place: '' }
  await addEntry(broker, place, { ...known.entry, step: 'ended', at, writer, outcome }, known.sequence)
}

/** As anybody cancels by id; what becomes of it is an outcome like any other. */
async function cancelRun({ broker, actor, schedule }: LookScope, planned: number): Promise<void> {
  const { publisher, subjects } = broker
  const id = occurrenceId(schedule, planned)
  await publisher.publish({
    subject: subjects.cancel(actor),
    payload: Buffer.from(JSON.stringify({ id, reason: `overlap cancelOther of schedule ${schedule}` })),
    headers: encodeHeaders([[H.dedupe, `overlap:${actor}:${id}`]]),
    stream: subjects.cancelStream,
    repeatMs: REPEAT_MS,
  })
}

function firstSend(steps: Plan['steps'], from: number): number {
  const found = steps.findIndex((step, index) => index >= from && step.kind === 'send')
  return found === -1 ? steps.length : found
}
