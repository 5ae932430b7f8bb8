/** The public surface of Troupe. */
export { actorRef, defineActor, isActor } from './actor.ts'
export { declareActor } from './declared.ts'
export type { DeclaredMessage, DeclaredOptions } from './declared.ts'
export type { Actor, ActorOptions, AnyActor, BoundMessage, MessageOptions, MessageRef } from './actor.ts'
export type { Context } from './context.ts'
export { resource } from './resources.ts'
export type { Resource, ResourceMap, ResourceOptions, ResourcesOf } from './resources.ts'
export type { WorkerContext } from './place.ts'
export type { ScheduleContext } from './schedules/context.ts'
export { dead, retry, snooze } from './outcome.ts'
export type {
  DeadReason,
  DeadVerdict,
  Outcome,
  ResultOf,
  RetryVerdict,
  SnoozeVerdict,
  Status,
  Verdict,
} from './outcome.ts'
export type { ErrorFilter, RetryOptions, RetryOverride } from './retryRule.ts'
export type { CrashCause, CrashReport } from './isolation/crash.ts'
export type { IsolateOptions, IsolationKind, RecycleOptions } from './isolation/options.ts'
export type { MemberInfo } from './isolation/pool.ts'
export type { Size } from './size.ts'
export type { Backoff } from './time/backoff.ts'
export type { Duration } from './time/duration.ts'
export { connect, Troupe } from './troupe.ts'
export type { ConnectOptions } from './troupe.ts'
export { createSystem, run } from './starting.ts'
export type { PlannedSystem } from './starting.ts'
export { System } from './system.ts'
export type { HostOptions, RunOptions, SystemOptions } from './systemOptions.ts'
export { child, supervisor } from './supervision/definition.ts'
export type {
  BackoffOptions,
  ChildDefinition,
  ChildInput,
  ChildOptions,
  SupervisorDefinition,
  SupervisorOptions,
} from './supervision/definition.ts'
export type { AutoShutdown, Restart, Strategy } from './supervision/decide.ts'
export type { Supervision } from './supervision/supervision.ts'
export type { ChildState, TreeNode } from './supervision/tree.ts'
export type { Until } from './onceAndOut.ts'
export type { CallOptions, Fate } from './client/sender.ts'
export type { Sent } from './client/sent.ts'
export type { SendOptions } from './client/options.ts'
export type { DeadFilter, DeadLetter, DeadOptions } from './client/dead.ts'
export type { PausedLane, PauseOptions } from './client/pausing.ts'
export type {
  CatchUp,
  Definition as ScheduleDefinition,
  Overlap,
  OwnSchedule,
  ScheduledSendOptions,
  ScheduleInput,
  ScheduleOptions,
} from './schedules/definition.ts'
export type {
  BackfillOptions,
  ExportedSchedules,
  PreviewTimesOptions,
  ScheduleDescription,
  Schedules,
  TriggerOptions,
} from './schedules/schedules.ts'
export type { PutOptions, PutResult } from './schedules/putting.ts'
export type { WhichSchedule } from './schedules/finding.ts'
export type { HistoryOptions } from './schedules/history.ts'
export { preview } from './schedules/occurrences.ts'
export type { PreviewOptions } from './schedules/occurrences.ts'
export type { AfterRule, Moment, ScheduleRule } from './schedules/rule.ts'
export type { CalendarDays } from './schedules/calendar.ts'
export type { Condition } from './schedules/conditions.ts'
export { ruleInWords } from './schedules/words.ts'
export type { Schedule, ScheduledRun } from './schedules/view.ts'
export type { CancelRequest } from './broker/cancels.ts'
export type { MoveTarget, TouchOptions, WaitingFilter, WaitingMessage } from './view/mailboxes.ts'
export type { Lane } from './broker/subjects.ts'
export type { Middleware } from './flow/middleware.ts'
export type { Outgoing, SendMiddleware } from './client/sending.ts'
export type { EventLevel, MessageEvent, MessageEvents, SystemEvent, SystemEvents } from './events.ts'
export { createLogger, pinoLogger } from './log.ts'
export type { LogFields, Logger, LogLevel, LogOptions } from './log.ts'
export { defineConfig } from '../config/index.ts'
export type { Config, ConfigInput } from '../config/index.ts'
export {
  AbortedError,
  ActorError,
  BrokerError,
  ConfigError,
  OutcomeError,
  PayloadError,
  TroupeError,
  UnavailableError,
} from './errors.ts'
export type { AbortCause, Failure } from './errors.ts'
