/** The actors that every client of test/interop sends to, and what became of their messages. The vectors speak of `probe`. */
import { dead, defineActor, retry, run, snooze, type AnyActor, type Context, type System } from 'troupe'
import { z } from 'zod'

import { gate, type Gate } from '../../kit/system.ts'

export interface Handled {
  readonly actor: string
  readonly message: string
  readonly id: string
  readonly attempt: number
  readonly payload: unknown
  readonly headers: Readonly<Record<string, string>>
  readonly at: number
}

export interface Probe extends AsyncDisposable {
  readonly namespace: string
  readonly system: System
  readonly handled: Handled[]
  /** Lets all that waits in `wait` end. */
  release(): void
}

let spaces = 0

/** Runs the actors in a namespace of their own. */
export async function startProbe(url: string): Promise<Probe> {
  const handled: Handled[] = []
  const gates: { current: Gate } = { current: gate() }
  const namespace = `probe${++spaces}_${process.pid}`
  const system = await run({
    actors: probeActors(handled, gates),
    servers: url,
    namespace,
    signals: false,
    logLevel: 'silent',
    grace: 200,
  })
  return {
    namespace,
    system,
    handled,
    release: () => {
      gates.current.open()
      gates.current = gate()
    },
    async [Symbol.asyncDispose]() {
      gates.current.open()
      await system.stop({ within: 0 })
    },
  }
}

function probeActors(handled: Handled[], gates: { readonly current: Gate }): AnyActor[] {
  const note = (payload: unknown, ctx: Context): void => {
    const { actor, message, id, attempt, headers } = ctx
    handled.push({ actor, message, id, attempt, payload, headers, at: Date.now() })
  }
  const wait = async (payload: unknown, ctx: Context): Promise<string> => {
    note(payload, ctx)
    const aborted = new Promise<never>((_, reject) => {
      ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error))
    })
    await Promise.race([gates.current.passed, aborted])
    return 'waited'
  }
  const echo = async (payload: unknown, ctx: Context): Promise<unknown> => {
    note(payload, ctx)
    return payload
  }
  /** Long enough that what is fetched together is there together when the next one is chosen. */
  const work = async (payload: unknown, ctx: Context): Promise<void> => {
    note(payload, ctx)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const probe = defineActor('probe', {
    description: 'Answers in every way that there is',
    retry: { attempts: 2, backoff: { base: 1, jitter: 0 } },
    messages: {
      echo,
      wait,
      /** What the handler was told of its message. */
      context: async (payload: unknown, ctx) => {
        note(payload, ctx)
        const { id, attempt, root, parent = null, headers } = ctx
        return { id, attempt, root, parent, headers }
      },
      greet: { payload: z.object({ to: z.string() }), handle: async ({ to }) => `hello, ${to}` },
      fail: async (payload: unknown, ctx) => {
        note(payload, ctx)
        throw Object.assign(new Error('no such mailbox'), { code: 'ENOMAIL' })
      },
      flaky: async (payload: unknown, ctx) => {
        note(payload, ctx)
        return ctx.attempt < 2 ? retry({ after: 1, reason: 'not yet' }) : { attempt: ctx.attempt }
      },
      sleepy: async (payload: unknown, ctx) => {
        note(payload, ctx)
        return handled.filter(({ id }) => id === ctx.id).length < 2 ? snooze(1) : { attempt: ctx.attempt }
      },
      refuse: async () => dead('unsubscribed'),
      nothing: async () => {},
      huge: async () => 'x'.repeat(2_000_000),
    },
  })
  const single = defineActor('single', { concurrency: 1, messages: { echo, wait, work } })
  return [probe, single]
}
