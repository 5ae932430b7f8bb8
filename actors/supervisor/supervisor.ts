/**
 * The supervisor as an actor: it answers for its system on `<namespace>.control.<system>.<verb>`, and tells what happens to the
 * system's actors as events and log lines.
 *
 * Verbs, with their bodies and answers as JSON: `tree` → the supervision tree; `restart`, `stop`, `start` with `{ name }` of an actor or
 * supervisor → `{ name, state }` when that is done; `scale` with `{ name, size }` → `{ name, from, to }`; `drain`, with `{ within }` if it is to be another time than
 * the system's own → `{ draining: true }`, and then the system stops. What can't be done is answered with its error.
 */
import type { Control } from '../../runtime/broker/control.ts'
import { invalid } from '../../runtime/checks.ts'
import type { SystemEvent, SystemEvents } from '../../runtime/events.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Report } from '../../runtime/supervision/report.ts'
import type { Supervision } from '../../runtime/supervision/supervision.ts'
import type { ChildAnswer, SystemTree } from '../../runtime/supervision/tree.ts'
import { parseDuration, type Duration } from '../../runtime/time/duration.ts'
import { tellReport } from './reports.ts'

export interface SupervisorActorHost {
  readonly log: Logger
  tell<K extends keyof SystemEvents>(event: K, data: Omit<SystemEvents[K], keyof SystemEvent>): void
}

/** What it does things to. */
export interface ControlledSystem {
  readonly name: string
  readonly supervision: Supervision
  stop(options?: { within?: Duration }): Promise<void>
}

/** Before a system that was told to drain begins: the answer goes out first. */
const ANSWER_FIRST_MS = 50

export class SupervisorActor {
  readonly #host: SupervisorActorHost

  constructor(host: SupervisorActorHost) {
    this.#host = host
  }

  report(report: Report): void {
    tellReport(this.#host, report)
  }

  /** Adds its verbs; they answer when `control` is started. */
  serve(control: Control, system: ControlledSystem): void {
    const { supervision } = system
    const acting =
      (verb: 'restart' | 'stop' | 'start') =>
      async (body: unknown): Promise<ChildAnswer> => {
        const name = nameIn(body, verb)
        this.#host.log.info(`asked to ${verb} ${name}`)
        return { name, state: await supervision[verb](name) }
      }
    control.on('tree', () => treeOf(system))
    control.on('restart', acting('restart'))
    control.on('stop', acting('stop'))
    control.on('start', acting('start'))
    control.on('scale', (body) => this.#scale(supervision, body))
    control.on('drain', (body) => this.#drain(system, body))
  }

  #scale(supervision: Supervision, body: unknown): { name: string; from: number; to: number } {
    const { size } = asObject(body)
    const name = nameIn(body, 'scale')
    return { name, ...supervision.scale(name, Number(size)) }
  }

  #drain(system: ControlledSystem, body: unknown): { draining: true } {
    const within = withinIn(body)
    this.#host.log.info('asked to drain')
    setTimeout(() => void system.stop(within === undefined ? {} : { within }), ANSWER_FIRST_MS)
    return { draining: true }
  }
}

function treeOf({ name, supervision }: ControlledSystem): SystemTree {
  const upMs = Math.round(process.uptime() * 1_000)
  return { system: name, pid: process.pid, upMs, strategy: supervision.strategy, children: supervision.tree() }
}

function nameIn(body: unknown, verb: string): string {
  const { name } = asObject(body)
  if (typeof name === 'string') return name
  throw invalid(`the body of ${verb}`, 'an object with the "name" of an actor or supervisor', body)
}

function withinIn(body: unknown): number | undefined {
  const { within } = asObject(body)
  return within === undefined || within === null ? undefined : parseDuration(within, 'within')
}

function asObject(body: unknown): Readonly<Record<string, unknown>> {
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
}
