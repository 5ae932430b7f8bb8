/**
 * Systems for tests: on one nats-server per test file, each bundle in a namespace of its own, so that tests don't meet.
 * A bundle records the events of all its systems, since tests wait for events, never for time.
 */
import {
  connect,
  run,
  type AnyActor,
  type ConnectOptions,
  type MessageEvents,
  type RunOptions,
  type System,
  type Troupe,
} from 'troupe'
import { afterAll } from 'vitest'

import { startServer, type TestServer } from './server.ts'

export type BundleOptions = Omit<RunOptions, 'actors'> & {
  /** Run by the first system. With none there is no first system, only the sender. */
  actors?: readonly AnyActor[]
  /** Default: the file's server. */
  server?: TestServer
}

export interface SeenEvent<K extends keyof MessageEvents = keyof MessageEvents> {
  readonly event: K
  readonly data: MessageEvents[K]
}

/** What happened in the systems of a bundle, in order. */
export class Events {
  readonly seen: SeenEvent[] = []
  readonly #waiting = new Set<() => void>()

  record<K extends keyof MessageEvents>(event: K, data: MessageEvents[K]): void {
    this.seen.push({ event, data } as SeenEvent)
    for (const look of this.#waiting) look()
  }

  /** Calls `look` at every event from now on. */
  onEach(look: () => void): void {
    this.#waiting.add(look)
  }

  of<K extends keyof MessageEvents>(event: K): MessageEvents[K][] {
    return this.seen.filter((entry) => entry.event === event).map((entry) => entry.data as MessageEvents[K])
  }

  /** Waits until there are `count` events of that name that match, and returns the last of them. */
  async wait<K extends keyof MessageEvents>(
    event: K,
    {
      count = 1,
      where = () => true,
      timeoutMs = 10_000,
    }: { count?: number; where?: (data: MessageEvents[K]) => boolean; timeoutMs?: number } = {},
  ): Promise<MessageEvents[K]> {
    const found = (): MessageEvents[K] | undefined => this.of(event).filter(where)[count - 1]
    return new Promise((resolve, reject) => {
      const names = (): string => this.seen.map((entry) => entry.event).join(' ')
      const timer = setTimeout(() => {
        this.#waiting.delete(look)
        reject(new Error(`expected ${count} times ${event} within ${timeoutMs} ms, got: ${names()}`))
      }, timeoutMs)
      const look = (): void => {
        const data = found()
        if (data === undefined) return
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve(data)
      }
      this.#waiting.add(look)
      look()
    })
  }
}

export interface Bundle extends AsyncDisposable {
  readonly server: TestServer
  readonly namespace: string
  /** The first system. */
  readonly system: System
  /** A sender with a connection of its own. */
  readonly troupe: Troupe
  readonly events: Events
  /** One more system in the same namespace; stopped with the bundle. */
  another(actors: readonly AnyActor[], options?: Omit<RunOptions, 'actors'>): Promise<System>
  /** One more sender. */
  sender(options?: ConnectOptions): Promise<Troupe>
}

let fileServer: Promise<TestServer> | undefined
let bundles = 0

/** The nats-server that the tests of one file share. */
export function serverOfFile(): Promise<TestServer> {
  return (fileServer ??= startServer())
}

afterAll(async () => {
  await (await fileServer)?.stop()
})

/** A system with these actors and a sender, ended by `await using`. */
export async function testBundle({ actors = [], server: own, ...options }: BundleOptions = {}): Promise<Bundle> {
  const server = own ?? (await serverOfFile())
  const events = new Events()
  const open: AsyncDisposable[] = []
  const namespace = options.namespace ?? `t${++bundles}`
  const link = { servers: server.url, namespace, signals: false, logLevel: 'silent', grace: '500ms' } as const
  const another = async (more: readonly AnyActor[], own: Omit<RunOptions, 'actors'> = {}): Promise<System> => {
    const onEvent: NonNullable<RunOptions['onEvent']> = (event, data) => events.record(event, data)
    const system = await run({ ...link, onEvent, ...own, actors: more })
    open.push({ [Symbol.asyncDispose]: () => system.stop({ within: 0 }) })
    return system
  }
  const sender = async (own: ConnectOptions = {}): Promise<Troupe> => {
    const troupe = await connect({ servers: server.url, namespace, logLevel: 'silent', ...own })
    open.push(troupe)
    return troupe
  }
  const troupe = await sender()
  const first = actors.length === 0 ? undefined : await another(actors, options)
  return {
    server,
    namespace,
    troupe,
    events,
    another,
    sender,
    get system() {
      if (first === undefined) throw new Error('this bundle was made without actors')
      return first
    },
    async [Symbol.asyncDispose]() {
      for (const one of open.toReversed()) await one[Symbol.asyncDispose]()
    },
  }
}

/** Something that code waits at until the test opens it. */
export interface Gate {
  readonly passed: Promise<void>
  open(): void
}

export function gate(): Gate {
  let open = (): void => {}
  const passed = new Promise<void>((resolve) => (open = resolve))
  return { passed, open: () => open() }
}

/** For what has no event: looks again and again until `check` holds. */
export async function eventually(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const until = performance.now() + timeoutMs
  while (!(await check())) {
    if (performance.now() > until) throw new Error(`expected that ${what} within ${timeoutMs} ms`)
    // Nothing tells when it holds: that is what this function is for.
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** The error that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof Error) return error as Error & Record<string, unknown>
  throw new Error('expected the promise to reject with an error, but it did not')
}
