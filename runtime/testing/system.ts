/**
 * A system for tests: real actors on a real nats-server, in a namespace of their own that is removed afterwards.
 *
 *     await using t = await testSystem({ actors: [mailer] })
 *     await t.send(mailer.welcome, { to: 'a@b.c' })
 *     await t.settled()
 *
 * Without `servers` that is the project's own server, whatever the configuration says: tests don't write into others' NATS by
 * accident. Tests in any number of processes share it.
 */
import { loadConfig, type ConfigInput } from '../../config/index.ts'
import { startSystem } from '../starting.ts'
import type { System } from '../system.ts'
import { configOf, type RunOptions, type SystemOptions } from '../systemOptions.ts'
import { randomToken } from '../time/chance.ts'
import { systemClock, type Clock } from '../time/clock.ts'
import { linkTo, type Link, type Troupe } from '../troupe.ts'
import { MovedClock, type TestClock } from './movedClock.ts'
import { Recorder, type Death, type RecordedEvent } from './recorder.ts'
import { listStreams, settled, type SettledOptions, type Watched } from './settled.ts'

/** As for `run`, with other defaults: own server, own namespace, no log lines, all events. */
export type TestSystemOptions =
  | Omit<RunOptions, 'clock' | 'signals' | 'namespace'>
  | Omit<SystemOptions, 'clock' | 'signals' | 'namespace'>

export interface TestSystem extends AsyncDisposable {
  readonly system: System
  readonly troupe: Troupe
  readonly namespace: string
  readonly send: Troupe['send']
  readonly ask: Troupe['ask']
  readonly call: Troupe['call']
  /** The time of senders, timers and handlers here. */
  readonly clock: TestClock
  /** Every event of every message so far, in order. */
  readonly events: readonly RecordedEvent[]
  /** Every message that became a dead letter so far. */
  readonly dead: readonly Death[]
  /**
   * Resolves when nothing is waiting, running, parked or due. Rejects at once with the handler's own error when a message dies, and
   * with `UnavailableError` `TIMEOUT` that says what is left.
   */
  settled(options?: SettledOptions): Promise<void>
  /** Stops the system and removes what it had in NATS. The same as the end of `await using`. */
  stop(): Promise<void>
}

const PREFIX = 'troupetest_'
/** What a killed test left behind in the project's own server is removed after a day. */
const LEFT_MS = 86_400_000
const LEFT = new RegExp(`^(KV_)?${PREFIX}[0-9A-Za-z]{11}-`)

/** Starts a system for one test. Throws what `run` throws. */
export async function testSystem(options: TestSystemOptions): Promise<TestSystem> {
  const namespace = `${PREFIX}${randomToken(8)}`
  const recorder = new Recorder()
  let link: Link | undefined
  const clock: Clock = { ...systemClock, now: () => Math.floor(link?.clock.now() ?? systemClock.now()) }
  const { middleware = [], grace = '1s', onEvent, onGiveUp = () => {} } = options
  const { config, root } = await loadConfig({ overrides: testConfig(options, namespace) })
  const system = await startSystem(
    config,
    root,
    {
      ...options,
      signals: false,
      grace,
      clock,
      middleware: [recorder.middleware, ...middleware],
      // The process is the test's.
      onGiveUp,
      onEvent: (event, data) => {
        recorder.onEvent(event, data)
        onEvent?.(event, data)
      },
    },
    async (...args) => (link = removing(await linkTo(...args))),
  )
  if (link === undefined) throw new TypeError('the system opened no link')
  return assemble(system, link, recorder, namespace)
}

function assemble(system: System, { broker, clock }: Link, recorder: Recorder, namespace: string): TestSystem {
  const watched: Watched = {
    system,
    broker,
    recorder,
    now: () => clock.now(),
    get isMoving() {
      return moved.isMoving
    },
  }
  const moved = new MovedClock(clock, watched)
  const { troupe } = system
  const stop = async (): Promise<void> => {
    await moved.stop()
    await system.stop()
  }
  return {
    system,
    troupe,
    namespace,
    send: troupe.send,
    ask: troupe.ask,
    call: troupe.call,
    clock: moved,
    events: recorder.events,
    dead: recorder.deaths,
    settled: (settledOptions = {}) => settled(watched, settledOptions),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function testConfig(options: TestSystemOptions, namespace: string): ConfigInput {
  const defaults = { logLevel: 'silent', events: 'all', shutdown: { within: '1s' } } as const
  const input = configOf(options)
  return { ...defaults, ...input, nats: { ...input.nats, servers: input.nats?.servers ?? [] }, namespace }
}

/** The streams go when the workers have stopped and before the connection does. */
function removing(link: Link): Link {
  const close = async (): Promise<void> => {
    await removeStreams(link).catch(() => {})
    await link.close()
  }
  return { ...link, close }
}

async function removeStreams({ broker, embedded }: Link): Promise<void> {
  const { connection, subjects, api } = broker
  if (!connection.connected || connection.closed) return
  const before = systemClock.now() - LEFT_MS
  const streams = (await listStreams(broker)).filter(({ config, created }) => {
    // The buckets of schedules are streams too.
    const isOwn = [`${subjects.namespace}-`, `KV_${subjects.namespace}-`].some((prefix) =>
      config.name.startsWith(prefix),
    )
    return isOwn || (embedded !== undefined && LEFT.test(config.name) && Date.parse(created) < before)
  })
  await Promise.all(streams.map(({ config }) => api.deleteStream(config.name)))
}
