/**
 * A context for plain unit tests of handlers: `await mailer.welcome.handle(payload, testContext())`.
 *
 * No server and no system. What the handler sends, tells and logs is recorded; what it asks is answered from a list; time
 * stands still until `ctx.clock` is moved.
 */
import type { MessageRef } from '../actor.ts'
import { checkOptions, type SendOptions } from '../client/options.ts'
import type { Sent } from '../client/sent.ts'
import type { Context } from '../context.ts'
import { AbortedError, ConfigError, type AbortCause } from '../errors.ts'
import type { LogFields, Logger } from '../log.ts'
import type { ScheduleContext } from '../schedules/context.ts'
import type { ScheduledRun } from '../schedules/view.ts'
import { payloadError, validate } from '../schema.ts'
import { nextId } from '../time/chance.ts'
import { parseDuration, parseInstant, type Duration } from '../time/duration.ts'
import { manualClock, type ManualClock } from '../time/manualClock.ts'

/** A message that the handler sent or asked. */
export interface RecordedMessage {
  readonly kind: 'send' | 'ask'
  readonly id: string
  readonly actor: string
  readonly message: string
  readonly payload: unknown
  readonly options: SendOptions & { readonly timeout?: Duration }
}

/** A line that the handler logged, with the fields of its logger. */
export interface RecordedLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: LogFields
}

type Given =
  | 'id'
  | 'actor'
  | 'message'
  | 'attempt'
  | 'headers'
  | 'root'
  | 'parent'
  | 'planned'
  | 'sent'
  | 'worker'
  | 'stopping'
  | 'connection'

export interface TestContextOptions extends Partial<Pick<Context, Given>> {
  /** Where the clock stands at first: a Date, RFC 3339 text or epoch milliseconds. Default: the first moment of 2026 in UTC. */
  now?: Date | string | number
  /** The schedule that made the message: its id, and what else matters to the handler. Default: none did. */
  schedule?: TestSchedule
  /** A clock of your own, for several contexts that share their time. */
  clock?: ManualClock
  /** `remaining()` begins here, and the signal aborts when the clock has moved so far. Default 5 minutes. */
  timeLimit?: Duration
  /**
   * What `ctx.ask` and `sent.result()` answer, by `actor.message`: a value, an Error to reject with, or a function of the payload.
   * What is not listed rejects with `ConfigError` `NO_ANSWER`.
   */
  answers?: Readonly<Record<string, unknown>>
  /** What stands for the actor's resources, by name. To use one that is not given throws `ConfigError` `NO_RESOURCE`. */
  resources?: Readonly<Record<string, unknown>>
}

/** `planned` is by default now, `by` is `rule`, and there was no run before. */
export interface TestSchedule extends Partial<Pick<ScheduleContext, 'planned' | 'by' | 'cause'>> {
  readonly id: string
  readonly previous?: ScheduledRun
}

export interface TestContext extends Context {
  /** What the handler did with its context, in order. */
  readonly recorded: {
    readonly sent: readonly RecordedMessage[]
    readonly progress: readonly unknown[]
    readonly log: readonly RecordedLine[]
  }
  /** The time of this context: `await ctx.clock.advance(60_000)`. */
  readonly clock: ManualClock
  /** Aborts the signal, as the runtime does: `cancelled` (default), `shutdown`, `time-limit`, …; or with an error of your own. */
  abort(reason?: AbortCause | Error): void
}

/** A complete context whose every part can be set. */
export function testContext(options: TestContextOptions = {}): TestContext {
  const {
    now,
    clock = manualClock(now === undefined ? undefined : parseInstant(now, 'now')),
    timeLimit = '5m',
  } = options
  const limitMs = parseDuration(timeLimit, 'timeLimit')
  const limitAt = clock.monotonic() + limitMs
  const controller = new AbortController()
  const abort = (reason: AbortCause | Error = 'cancelled'): void =>
    controller.abort(typeof reason === 'string' ? aborted(reason) : reason)
  clock.setTimer(() => abort('time-limit'), limitMs)
  const recorded = { sent: [] as RecordedMessage[], progress: [] as unknown[], log: [] as RecordedLine[] }
  const { id = nextId(), actor = 'actor', message = 'message', attempt = 1, root = id } = options
  return {
    id,
    actor,
    message,
    attempt,
    root,
    headers: options.headers ?? {},
    parent: options.parent,
    planned: options.planned,
    sent: options.sent ?? new Date(clock.now()),
    schedule: options.schedule && scheduleOf(options.schedule, clock),
    worker: options.worker ?? 'test',
    signal: controller.signal,
    get stopping() {
      return options.stopping ?? isShutdown(controller.signal.reason)
    },
    remaining: () => Math.max(0, limitAt - clock.monotonic()),
    now: () => new Date(clock.now()),
    progress: (value) => void recorded.progress.push(value),
    log: recordingLogger(recorded.log, { actor, message, id, attempt }),
    send: (ref, payload, sendOptions) => send(recorded.sent, options, ref, payload, sendOptions),
    ask: async (ref, payload, askOptions) => {
      const { timeout: _timeout, ...rest } = { ...askOptions }
      await record(recorded.sent, 'ask', ref, payload, rest, { ...askOptions })
      return (await answer(options, ref, payload)) as never
    },
    resources: testResources(options.resources ?? {}),
    get connection() {
      return options.connection ?? noConnection()
    },
    recorded,
    clock,
    abort,
  }
}

function testResources(given: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return new Proxy(given, {
    get(_target, name) {
      if (typeof name === 'symbol' || Object.hasOwn(given, name)) return given[name as string]
      const text = `expected the resource ${name}, got none: give it as testContext({ resources: { ${name}: … } })`
      throw new ConfigError('NO_RESOURCE', text)
    },
  })
}

function scheduleOf({ id, planned, by = 'rule', cause, previous }: TestSchedule, clock: ManualClock): ScheduleContext {
  return { id, planned: planned ?? new Date(clock.now()), by, cause, previous: async () => previous }
}

type Target = Pick<MessageRef<never, unknown>, 'actor' | 'message' | 'spec'>

async function send(
  sent: RecordedMessage[],
  context: TestContextOptions,
  ref: Target,
  payload: unknown,
  options: SendOptions = {},
): Promise<Sent<never>> {
  const { id } = await record(sent, 'send', ref, payload, options, options)
  return {
    id,
    actor: ref.actor,
    message: ref.message,
    duplicate: false,
    result: async () => (await answer(context, ref, payload)) as never,
    cancel: async () => ({ was: 'unknown' }),
  }
}

/** Refuses what the real `send` refuses: wrong options, and a payload that its schema does not take. */
async function record(
  sent: RecordedMessage[],
  kind: RecordedMessage['kind'],
  ref: Target,
  payload: unknown,
  checked: SendOptions,
  options: RecordedMessage['options'],
): Promise<RecordedMessage> {
  checkOptions(checked)
  const schema = ref.spec?.messages.get(ref.message)?.schema
  const verdict = schema === undefined ? undefined : await validate(schema, payload)
  if (verdict?.issues !== undefined) throw payloadError(ref.actor, ref.message, verdict.issues)
  const entry = { kind, id: options.id ?? nextId(), actor: ref.actor, message: ref.message, payload, options }
  sent.push(entry)
  return entry
}

async function answer(
  { answers = {} }: TestContextOptions,
  { actor, message }: Target,
  payload: unknown,
): Promise<unknown> {
  const name = `${actor}.${message}`
  if (!Object.hasOwn(answers, name)) {
    throw new ConfigError(
      'NO_ANSWER',
      `expected an answer for ${name}, got none: give it as testContext({ answers: { ${JSON.stringify(name)}: … } })`,
    )
  }
  const given: unknown = answers[name]
  if (given instanceof Error) throw given
  return typeof given === 'function' ? (given as (payload: unknown) => unknown)(payload) : given
}

function recordingLogger(lines: RecordedLine[], fields: LogFields): Logger {
  const at =
    (level: RecordedLine['level']) =>
    (message: string, more: LogFields = {}): void =>
      void lines.push({ level, message, fields: { ...fields, ...more } })
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (more) => recordingLogger(lines, { ...fields, ...more }),
  }
}

function aborted(why: AbortCause): AbortedError {
  return new AbortedError(why, `the test aborted this run: ${why}`)
}

function isShutdown(reason: unknown): boolean {
  return reason instanceof AbortedError && reason.why === 'shutdown'
}

function noConnection(): never {
  throw new ConfigError(
    'NO_CONNECTION',
    'expected no use of ctx.connection in a plain unit test: give testContext({ connection }), or use testSystem()',
  )
}
