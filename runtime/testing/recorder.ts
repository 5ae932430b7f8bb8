/** What happened in a test system: every event of its messages, and every dead letter with the error that its handler threw. */
import type { Context } from '../context.ts'
import { OutcomeError, toError, type Failure } from '../errors.ts'
import type { MessageEvent, MessageEvents } from '../events.ts'
import type { Middleware } from '../flow/middleware.ts'
import type { DeadReason } from '../outcome.ts'

type Recorded<K extends keyof MessageEvents> = { readonly event: K } & MessageEvents[K]

/** An event as in `MessageEvents`; with `retry` and `dead` comes the error as it was thrown. */
export type RecordedEvent = {
  [K in keyof MessageEvents]: Recorded<K> & { readonly error?: Error }
}[keyof MessageEvents]

/** A message that became a dead letter. */
export interface Death {
  readonly id: string
  readonly actor: string
  readonly message: string
  readonly attempt: number
  readonly reason: DeadReason
  /** The very error that the handler threw; an `OutcomeError` with the failure where none was thrown (`dead(…)`, a refused payload). */
  readonly error: Error
}

export class Recorder {
  readonly events: RecordedEvent[] = []
  readonly deaths: Death[] = []
  readonly #thrown = new Map<string, Error>()
  #running = 0
  #reported = 0

  /** Handlers that run now, live calls and broadcasts too. */
  get running(): number {
    return this.#running
  }

  /** The outermost middleware, so that it also sees what the others throw. */
  readonly middleware: Middleware = async (payload, ctx, next) => {
    this.#running++
    try {
      return await next(payload)
    } catch (thrown) {
      this.#thrown.set(keyOf(ctx), reasonOf(ctx, thrown))
      throw thrown
    } finally {
      this.#running--
    }
  }

  readonly onEvent = <K extends keyof MessageEvents>(event: K, data: MessageEvents[K]): void => {
    const error = event === 'retry' || event === 'dead' ? this.#thrown.get(keyOf(data)) : undefined
    this.events.push({ event, ...data, ...(error === undefined ? {} : { error }) } as RecordedEvent)
    if (event === 'dead') this.#died(data as MessageEvents['dead'], error)
    if (error !== undefined) this.#thrown.delete(keyOf(data))
  }

  /** Throws the error of the first death that was not reported yet; all that are known count as reported then. */
  throwDeath(): void {
    const death = this.deaths[this.#reported]
    this.#reported = this.deaths.length
    if (death !== undefined) throw death.error
  }

  #died({ id, actor, message, attempt, reason, failure }: MessageEvents['dead'], error: Error | undefined): void {
    const death = { id, actor, message, attempt, reason }
    this.deaths.push({ ...death, error: error ?? deathError(death, failure) })
  }
}

function keyOf({ actor, id, attempt }: Pick<MessageEvent, 'actor' | 'id' | 'attempt'>): string {
  return `${actor} ${attempt} ${id}`
}

/** A run that was told to stop ends with that reason; what the handler threw is its cause (flow/execute.ts). */
function reasonOf({ signal }: Context, thrown: unknown): Error {
  return toError(signal.aborted ? signal.reason : thrown)
}

function deathError({ actor, message, id, reason }: Omit<Death, 'error'>, failure: Failure): OutcomeError {
  return new OutcomeError(
    'DEAD',
    `${actor}.${message} (${id}) became a dead letter (${reason}): ${failure.name}: ${failure.message}`,
    failure,
  )
}
