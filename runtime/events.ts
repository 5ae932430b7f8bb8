/**
 * What happened, told on `troupe.event.…` as JSON and to listeners in the process: one map, which is also the manual.
 *
 * Events are published without an ack and are not kept, unless `retention.events` captures them: who was not there has missed
 * them, and nothing may depend on them. Fields that are named like secrets are hidden. A newer version may add events and
 * fields; leave aside what you don't know.
 *
 * The level of an actor (its option `events`, else the setting, changed live by `troupe events`) says what is published of its
 * messages: `off` nothing, `failures` (the default) what somebody may have to look at, `all` everything; progress, which its
 * handler asks for, always.
 *
 * The life of a message: sent → started → (progress …) → done, or retry → started …, snooze → started …, dead, cancelled,
 * expired, released → started ….
 */
import type { Lane } from './broker/subjects.ts'
import type { Failure } from './errors.ts'
import type { CrashReport } from './isolation/crash.ts'
import type { DeadReason } from './outcome.ts'
import type { Strategy } from './supervision/decide.ts'

/** What every event of a message carries. */
export interface MessageEvent {
  readonly id: string
  readonly actor: string
  readonly message: string
  readonly attempt: number
  readonly worker: string
  /** RFC 3339. */
  readonly at: string
}

/** Told by the sender when its message is stored: no worker has it yet. */
export interface SentEvent extends Omit<MessageEvent, 'worker'> {
  /** The sender's name. */
  readonly sender: string
  readonly lane: Lane
  /** When it is to be run, where it was delayed: RFC 3339. */
  readonly due?: string
  /** Ids of the message whose handler sent it, and of the one that began the tree. */
  readonly parent?: string
  readonly root?: string
}

/** Events of messages: subject `<namespace>.event.<actor>.<message>.<event>`. */
export interface MessageEvents {
  /** JetStream has it. It may be heard after `started`; of a message that a bare NATS client sends it is not told. */
  sent: SentEvent
  /** A worker begins an attempt. */
  started: MessageEvent
  /** `durationMs` is the handler's time. */
  done: MessageEvent & { readonly durationMs: number }
  /** What the handler told with `ctx.progress(value)`. */
  progress: MessageEvent & { readonly value: unknown }
  retry: MessageEvent & { readonly afterMs: number; readonly failure: Failure }
  snooze: MessageEvent & { readonly afterMs: number }
  dead: MessageEvent & { readonly reason: DeadReason; readonly failure: Failure }
  cancelled: MessageEvent & { readonly reason: string }
  expired: MessageEvent
  /** Given back unfinished: a stop, or more than this worker could run. */
  released: MessageEvent
  /** Its lease could not be confirmed in time; another worker may run it. */
  'lease-lost': MessageEvent
  /** The handler left a rejected promise behind; the message itself is not affected. */
  leak: MessageEvent & { readonly failure: Failure }
  /** The handler did not end after its signal: the message is settled, the code still runs. */
  abandoned: MessageEvent & { readonly reason: string }
  /** The thread or process that ran it died: it was given back, and is counted. `crashes`: how many it has behind it. */
  crashed: MessageEvent & { readonly report: CrashReport; readonly crashes: number }
  /** The handler did not end after its signal: its thread or process was ended. */
  killed: MessageEvent & { readonly reason: string; readonly member: string }
  /** It could not be settled for now and was given back with a delay. */
  unsettled: MessageEvent & { readonly failure: Failure }
}

/** What every event of a system carries. */
export interface SystemEvent {
  readonly system: string
  readonly at: string
}

/** What every event of a supervised child carries: its name, and its supervisor's (`system` is the root). */
export interface ChildEvent extends SystemEvent {
  readonly supervisor: string
  readonly child: string
}

/** Events of systems: subject `<namespace>.event.system.<system>.<event>`. */
export interface SystemEvents {
  started: SystemEvent & { readonly actors: readonly string[]; readonly pid: number }
  stopping: SystemEvent
  stopped: SystemEvent
  disconnected: SystemEvent
  reconnected: SystemEvent
  /** A thread or process of an isolated actor is ready. `tookMs`: since it was started. */
  'member-started': SystemEvent & {
    readonly actor: string
    readonly member: string
    readonly pid?: number
    readonly tookMs: number
  }
  /** One has ended: it crashed, was ended for a message (`killed`), was replaced, was not needed, or the system stops. */
  'member-ended': SystemEvent & {
    readonly actor: string
    readonly member: string
    readonly why: MemberEnd
    readonly report?: CrashReport
  }
  /** An actor or supervisor was started; `life` is 1 for the first time, more after restarts. */
  'child-started': ChildEvent & { readonly life: number }
  /** It was told to stop, and has. */
  'child-stopped': ChildEvent
  /** It ended by itself, and as it should; a supervisor that gave up is told so with its `failure`. */
  'child-ended': ChildEvent & { readonly how: 'normal' | 'shutdown'; readonly upMs: number; readonly failure?: Failure }
  /** It failed. What its supervisor does about it follows as `child-restarting`, `supervisor-gave-up` or not at all (temporary). */
  'child-failed': ChildEvent & { readonly failure: Failure; readonly upMs: number }
  /** It could not be started; `tries` counts those in a row. */
  'child-start-failed': ChildEvent & { readonly failure: Failure; readonly tries: number }
  /** These are stopped now, those are started after the wait; so many restarts were made within the supervisor's period. */
  'child-restarting': ChildEvent & {
    readonly strategy: Strategy
    readonly stop: readonly string[]
    readonly start: readonly string[]
    readonly afterMs: number
    readonly restarts: number
  }
  /** It did not stop in its time, or its stop failed: it was left behind. */
  'child-stop-failed': ChildEvent & { readonly failure: Failure }
  /** More restarts than it may make: it stops its children and ends, and the supervisor above it decides. Of the root: the process ends. */
  'supervisor-gave-up': ChildEvent & { readonly failure: Failure }
  /** Significant children have ended: it stops the others and ends. */
  'supervisor-shut-down': ChildEvent
  /**
   * What its timers found about a schedule: `missed` (how many, and why), `paused` (by a failure), `lost` (a run without an outcome), `broken`
   * (the record can't be read), `refused` (the mailbox does not take its message, or our user may not write there), `edited` (it is other than its declaration, which
   * is not put over it), `undeclared` (its declaration is gone from the code).
   */
  schedule: SystemEvent & {
    readonly actor: string
    readonly schedule: string
    readonly what: ScheduleNews
    readonly detail: string
    readonly count?: number
  }
  /** An actor runs another number of messages at once: by hand, or autoscaled for the reason that is given. */
  scaled: SystemEvent & {
    readonly actor: string
    readonly from: number
    readonly to: number
    /** `no faster`: the last step up is taken back, since it did not help. */
    readonly why: 'by hand' | 'backlog' | 'calm' | 'no faster' | 'bounds'
  }
  /** Something needs a look: a consumer is gone, a subject is refused. */
  trouble: SystemEvent & { readonly actor?: string; readonly problem: string }
  /** A lane of an actor is paused (`all`: its one queue), by `troupe pause` or `nats consumer pause`; `until` RFC 3339, absent: until it is resumed. */
  paused: SystemEvent & { readonly actor: string; readonly lane: string; readonly until?: string }
  resumed: SystemEvent & { readonly actor: string; readonly lane: string }
  /**
   * JetStream says something about a stream or consumer of an actor that runs here, or of those that all share: `leader` (a
   * new one), `quorum-lost` (it stands still), `deleted`, `max-deliveries`. Told by each system that follows it.
   */
  advisory: SystemEvent & {
    readonly kind: 'leader' | 'quorum-lost' | 'deleted' | 'max-deliveries'
    readonly stream: string
    readonly consumer?: string
    readonly actor?: string
    readonly text: string
  }
  /**
   * The event loop has stood still for so long, by a handler among those named: told while it stands still (by another thread), and once
   * more when it goes on (`isOver`).
   */
  blocked: SystemEvent & {
    readonly forMs: number
    readonly isOver: boolean
    readonly running: readonly { readonly id: string; readonly message: string }[]
  }
}

/** Why a thread or process of an isolated actor ended. */
export type MemberEnd = 'crashed' | 'killed' | 'recycled' | 'idle' | 'stopped'

export type ScheduleNews = 'missed' | 'paused' | 'lost' | 'broken' | 'refused' | 'edited' | 'undeclared'

export const EVENT_LEVELS = ['off', 'failures', 'all'] as const
export type EventLevel = (typeof EVENT_LEVELS)[number]

/** The least level at which each is published. Progress is asked for by its handler, so it is always told. */
export const LEAST_LEVEL: { readonly [K in keyof MessageEvents]: EventLevel } = {
  sent: 'all',
  started: 'all',
  progress: 'off',
  done: 'all',
  retry: 'failures',
  snooze: 'all',
  dead: 'failures',
  cancelled: 'failures',
  expired: 'failures',
  released: 'all',
  'lease-lost': 'failures',
  leak: 'failures',
  abandoned: 'failures',
  crashed: 'failures',
  killed: 'failures',
  unsettled: 'failures',
}

/** Whether an event is published at a level: pure. */
export function isTold(event: keyof MessageEvents, level: EventLevel): boolean {
  return EVENT_LEVELS.indexOf(LEAST_LEVEL[event]) <= EVENT_LEVELS.indexOf(level)
}
