/** What runs in a system now: the answer to the control verb `running`, and asking all systems for it. */
import type { Broker } from '../broker/broker.ts'
import { askAllSystems } from '../broker/control.ts'
import type { ActorWorker } from '../flow/worker.ts'
import { systemClock } from '../time/clock.ts'

/** One message that runs. */
export interface RunningMessage {
  readonly system: string
  readonly worker: string
  readonly id: string
  readonly actor: string
  readonly message: string
  readonly attempt: number
  /** Its place in the mailbox. */
  readonly sequence: number
  /** RFC 3339. */
  readonly since: string
  /** ms. */
  readonly forMs: number
  /** ms until its time limit or deadline. */
  readonly remainingMs: number
  /** Why it was told to stop, if it was. */
  readonly stopping?: string
}

/** What may be asked for: all that is given must match. */
export interface RunningFilter {
  readonly id?: string
  readonly actor?: string
}

export function runningOf(system: string, workers: Iterable<ActorWorker>, filter: RunningFilter): RunningMessage[] {
  const now = systemClock.monotonic()
  return [...workers]
    .filter((worker) => filter.actor === undefined || worker.spec.name === filter.actor)
    .flatMap((worker) => worker.running.map((run) => ({ worker, run })))
    .filter(({ run }) => filter.id === undefined || run.message.id === filter.id)
    .map(({ worker, run }) => ({
      system,
      worker: worker.worker,
      id: run.message.id,
      actor: run.message.actor,
      message: run.message.name,
      attempt: run.message.attempt,
      sequence: run.delivery.sequence,
      since: new Date(systemClock.now() - (now - run.startedAt)).toISOString(),
      forMs: Math.round(now - run.startedAt),
      remainingMs: Math.round(run.ctx.remaining()),
      ...(run.ctx.aborted === undefined ? {} : { stopping: run.ctx.aborted.code }),
    }))
}

/** The body of the verb, as far as it is one. */
export function readRunningFilter(body: unknown): RunningFilter {
  if (typeof body !== 'object' || body === null) return {}
  const { id, actor } = body as Record<string, unknown>
  return { ...(typeof id === 'string' ? { id } : {}), ...(typeof actor === 'string' ? { actor } : {}) }
}

/** Workers answer at once; who does not within that time after the last is not waited for. */
const QUIET_MS = 150

/** Places in an actor's mailbox that some worker has in hand, as far as systems answer. */
export async function askHeld(broker: Broker, actor: string): Promise<ReadonlySet<number>> {
  const answers = await askAllSystems(broker, 'held', { actor }, { quietMs: QUIET_MS })
  return new Set(answers.flatMap(({ value }) => (Array.isArray(value) ? (value as number[]) : [])))
}

/** What runs anywhere, longest first. Systems that do not answer in time are left out. */
export async function askRunning(broker: Broker, filter: RunningFilter = {}): Promise<RunningMessage[]> {
  const answers = await askAllSystems(broker, 'running', filter, { quietMs: QUIET_MS })
  return answers
    .flatMap(({ value }) => (Array.isArray(value) ? (value as RunningMessage[]) : []))
    .toSorted((a, b) => b.forMs - a.forMs)
}
