import { AbortedError, dead, defineActor, retry, snooze, type Context } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, rejection, testBundle } from '../kit/system.ts'

class Busy extends Error {
  override readonly name = 'Busy'
}
class Gone extends Error {
  override readonly name = 'Gone'
}
const fast = { base: '1ms', jitter: 0 }

/** Promises of a kind of their own, as some query builders return them. */
const THENABLES = {
  'throws when it is awaited': () => ({
    // oxlint-disable-next-line unicorn/no-thenable -- exactly that
    then: (): never => {
      throw new Error('no connection')
    },
  }),
  'throws when it is looked at': () =>
    // oxlint-disable-next-line unicorn/no-thenable -- exactly that
    Object.defineProperty({}, 'then', {
      get: () => {
        throw new Error('no connection')
      },
    }),
}

describe('a handler that returns what is no promise of ours', () => {
  it.each(Object.entries(THENABLES))('and %s is one that throws', async (_what, go) => {
    const actor = defineActor('queries', { concurrency: 1, retry: false, messages: { go: () => go() } })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.go, undefined)
    await t.troupe.send(actor.go, undefined)
    await t.events.wait('dead', { count: 2 })
    expect(t.events.of('dead')[1]?.failure).toMatchObject({ message: 'no connection' })
  })
})

describe('a handler that throws', () => {
  it('is tried again as often as its rule says, then it is dead, with the errors of all attempts', async () => {
    const attempts: number[] = []
    const actor = defineActor('flaky', {
      retry: { attempts: 3, backoff: fast },
      messages: {
        go: (_payload: unknown, ctx): never => {
          attempts.push(ctx.attempt)
          throw new Error(`failed ${ctx.attempt}`)
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    const { id } = await t.troupe.send(actor.go, {})
    await t.events.wait('dead')
    expect(attempts).toEqual([1, 2, 3])
    const letter = await t.troupe.dead.show(id)
    expect(letter).toMatchObject({ reason: 'failed', attempts: 3, failure: { message: 'failed 3', attempts: 3 } })
    expect(letter.history.map(({ attempt, error }) => [attempt, error])).toEqual([
      [1, 'Error: failed 1'],
      [2, 'Error: failed 2'],
    ])
  })

  it('is retried by default', async () => {
    const actor = defineActor('plain', {
      messages: {
        go: (_payload: unknown, ctx) => {
          if (ctx.attempt === 1) throw new Error('once')
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.go, {})
    const event = await t.events.wait('retry')
    expect(event.afterMs).toBeGreaterThanOrEqual(800)
    expect(event.afterMs).toBeLessThanOrEqual(1_200)
    expect(await t.events.wait('done')).toMatchObject({ attempt: 2 })
  })

  it('waits longer each time', async () => {
    const actor = defineActor('slower', {
      retry: { attempts: 4, backoff: { base: '2ms', factor: 3, jitter: 0 } },
      messages: {
        go: (): never => {
          throw new Error('no')
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.go, {})
    await t.events.wait('dead')
    expect(t.events.of('retry').map((event) => event.afterMs)).toEqual([2, 6, 18])
  })

  it('may throw anything: text, nothing, an object', async () => {
    const thrown: Record<string, unknown> = { text: 'just text', nothing: undefined, object: { code: 7 } }
    const actor = defineActor('odd', {
      retry: false,
      messages: {
        go: (payload: { kind: string }): never => {
          throw thrown[payload.kind]
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    for (const kind of Object.keys(thrown)) await t.troupe.send(actor.go, { kind }, { id: kind })
    await t.events.wait('dead', { count: 3 })
    expect((await t.troupe.dead.show('text')).failure.message).toBe('just text')
    expect((await t.troupe.dead.show('nothing')).failure.message).toContain('undefined')
  })
})

describe('which errors are retried', () => {
  const fails = (error: Error) => (): never => {
    throw error
  }
  const actor = defineActor('choosy', {
    retry: { attempts: 2, backoff: fast },
    messages: {
      listed: { retry: { on: [Busy] }, handle: fails(new Busy('b')) },
      unlisted: { retry: { on: [Busy] }, handle: fails(new Gone('g')) },
      excepted: { retry: { except: [Gone] }, handle: fails(new Gone('g')) },
      asked: { retry: { on: (error: Error) => error.message === 'again' }, handle: fails(new Error('again')) },
      refused: { retry: { on: (error: Error) => error.message === 'again' }, handle: fails(new Error('no')) },
      broken: {
        retry: {
          on: (): boolean => {
            throw new Error('the predicate itself')
          },
        },
        handle: fails(new Error('x')),
      },
      never: { retry: false as const, handle: fails(new Error('x')) },
    },
  })

  it.each([
    ['listed', 2],
    ['unlisted', 1],
    ['excepted', 1],
    ['asked', 2],
    ['refused', 1],
    ['broken', 2],
    ['never', 1],
  ] as const)('%s: %i attempts', async (message, attempts) => {
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor[message], undefined)
    expect(await t.events.wait('dead')).toMatchObject({ attempt: attempts, reason: 'failed' })
  })
})

describe('whose rule holds', () => {
  const boom = (): never => {
    throw new Error('boom')
  }
  const actor = defineActor('layers', {
    retry: { attempts: 4, backoff: fast },
    messages: { plain: boom, own: { retry: { attempts: 2 }, handle: boom } },
  })

  it('the actor’s for a message without one, the message’s over it, the call’s over both', async () => {
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.plain, undefined, { id: 'actor' })
    await t.troupe.send(actor.own, undefined, { id: 'message' })
    await t.troupe.send(actor.own, undefined, { id: 'call', retry: { attempts: 3 } })
    await t.troupe.send(actor.plain, undefined, { id: 'once', retry: { attempts: 1 } })
    await t.events.wait('dead', { count: 4 })
    const attempts = Object.fromEntries(t.events.of('dead').map((event) => [event.id, event.attempt]))
    expect(attempts).toEqual({ actor: 4, message: 2, call: 3, once: 1 })
  })

  it('the call’s backoff holds through all attempts', async () => {
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.own, undefined, {
      retry: { attempts: 3, backoff: { base: '5ms', factor: 1, jitter: 0 } },
    })
    await t.events.wait('dead')
    expect(t.events.of('retry').map((event) => event.afterMs)).toEqual([5, 5])
  })
})

describe('what a handler may return', () => {
  const answer = (reply: (ctx: Context) => unknown) =>
    defineActor('answers', {
      retry: { attempts: 2, backoff: { base: '3ms', jitter: 0 } },
      messages: { go: (_payload: unknown, ctx) => reply(ctx) },
    })

  it('retry: after the time that it says, counted as an attempt', async () => {
    const actor = answer((ctx) => (ctx.attempt === 1 ? retry({ after: '20ms', reason: 'not ready' }) : 'ok'))
    await using t = await testBundle({ actors: [actor] })
    expect(await t.troupe.ask(actor.go, {})).toBe('ok')
    expect(t.events.of('retry')).toMatchObject([
      { afterMs: 20, attempt: 1, failure: { name: 'Retry', message: 'not ready' } },
    ])
    expect(await t.events.wait('done')).toMatchObject({ attempt: 2 })
  })

  it('retry without a time: by the rule, and dead when the attempts are used up', async () => {
    const actor = answer(() => retry({ reason: 'never ready' }))
    await using t = await testBundle({ actors: [actor] })
    expect(await rejection(t.troupe.ask(actor.go, {}))).toMatchObject({
      code: 'DEAD',
      failure: { message: 'never ready', attempts: 2 },
    })
    expect(t.events.of('retry').map((event) => event.afterMs)).toEqual([3])
  })

  it('snooze: later, and not counted', async () => {
    let runs = 0
    const actor = answer((ctx) => (++runs < 4 ? snooze('2ms') : `${runs} runs, attempt ${ctx.attempt}`))
    await using t = await testBundle({ actors: [actor] })
    expect(await t.troupe.ask(actor.go, {})).toBe('4 runs, attempt 1')
    expect(t.events.of('snooze')).toHaveLength(3)
  })

  it('snooze for longer than a moment is parked in the server', async () => {
    let runs = 0
    const startedAt = Date.now()
    const actor = answer(() => (++runs < 2 ? snooze('900ms') : Date.now() - startedAt))
    await using t = await testBundle({ actors: [actor] })
    expect(await t.troupe.ask(actor.go, {})).toBeGreaterThanOrEqual(899)
  })

  it('dead: at once, with its reason', async () => {
    const actor = answer(() => dead('the address does not exist'))
    await using t = await testBundle({ actors: [actor] })
    const { id } = await t.troupe.send(actor.go, {})
    await t.events.wait('dead')
    expect(await t.troupe.dead.show(id)).toMatchObject({
      reason: 'rejected',
      attempts: 1,
      failure: { message: 'the address does not exist' },
    })
  })
})

describe('the time limit of an attempt', () => {
  it('aborts the signal, says why, and the attempt has failed', async () => {
    const reasons: unknown[] = []
    const actor = defineActor('slow', {
      retry: { attempts: 2, backoff: fast },
      messages: {
        go: {
          timeLimit: '80ms',
          handle: (_payload: unknown, ctx: Context) =>
            new Promise<void>((_resolve, reject) => {
              ctx.signal.addEventListener('abort', () => {
                reasons.push(ctx.signal.reason)
                reject(new Error('stopped by its signal'))
              })
            }),
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    const { id } = await t.troupe.send(actor.go, {})
    await t.events.wait('dead')
    expect(reasons).toHaveLength(2)
    expect(reasons[0]).toBeInstanceOf(AbortedError)
    expect(reasons[0]).toMatchObject({ code: 'TIME_LIMIT', why: 'time-limit' })
    expect((await t.troupe.dead.show(id)).failure).toMatchObject({ code: 'TIME_LIMIT', attempts: 2 })
    expect(t.events.of('abandoned')).toEqual([])
  })

  it('abandons a run that ignores its signal after the grace, and its slot is free', async () => {
    const actor = defineActor('deaf', {
      concurrency: 1,
      retry: false,
      messages: { hang: { timeLimit: '50ms', handle: () => new Promise<void>(() => {}) }, next: () => 'ran' },
    })
    await using t = await testBundle({ actors: [actor], grace: '100ms' })
    await t.troupe.send(actor.hang, undefined)
    await t.events.wait('started')
    expect(await t.troupe.ask(actor.next, undefined)).toBe('ran')
    expect(t.events.of('abandoned')).toHaveLength(1)
    expect(t.events.of('dead')).toMatchObject([{ failure: { code: 'TIME_LIMIT' } }])
  })

  it('what an abandoned handler returns in the end changes nothing', async () => {
    let end = (): void => {}
    const actor = defineActor('lateEnd', {
      retry: false,
      messages: {
        go: { timeLimit: '50ms', handle: () => new Promise<string>((resolve) => (end = () => resolve('too late'))) },
      },
    })
    await using t = await testBundle({ actors: [actor], grace: '50ms' })
    const asked = rejection(t.troupe.ask(actor.go, undefined))
    expect(await asked).toMatchObject({ code: 'DEAD' })
    end()
    await eventually('its worker is idle', () => t.system.workers.get('lateEnd')?.unsettled === 0)
    expect(t.events.of('done')).toEqual([])
  })

  it('does not undo what is done: a handler that ends after its signal is done', async () => {
    const actor = defineActor('overrun', {
      messages: {
        go: {
          timeLimit: '50ms',
          handle: (_payload: unknown, ctx: Context) =>
            new Promise<string>((resolve) => ctx.signal.addEventListener('abort', () => resolve('done after all'))),
        },
      },
    })
    await using t = await testBundle({ actors: [actor] })
    expect(await t.troupe.ask(actor.go, {})).toBe('done after all')
  })

  it('is on by default: five minutes', async () => {
    const actor = defineActor('limits', { messages: { go: (_payload: unknown, ctx) => ctx.remaining() } })
    await using t = await testBundle({ actors: [actor] })
    const left = (await t.troupe.ask(actor.go, {})) as number
    expect(left).toBeGreaterThan(295_000)
    expect(left).toBeLessThanOrEqual(300_000)
  })
})

describe('expiry and deadline', () => {
  it('a message that expired is not run', async () => {
    const actor = defineActor('brief', { messages: { go: () => 'ran' } })
    await using t = await testBundle()
    await t.troupe.send(actor.go, undefined, { expires: '1ms', id: 'old' })
    await t.troupe.send(actor.go, undefined, { expires: '1h', id: 'fresh' })
    await new Promise((resolve) => setTimeout(resolve, 5)) // the expiry is what passes here
    await t.another([actor])
    await t.events.wait('done')
    expect(t.events.of('expired').map((event) => event.id)).toEqual(['old'])
    expect(t.events.of('done').map((event) => event.id)).toEqual(['fresh'])
  })

  it('a deadline ends all attempts, also the one that runs', async () => {
    const whys: unknown[] = []
    const actor = defineActor('bounded', {
      retry: { attempts: 100, backoff: { base: '10ms', factor: 1 } },
      messages: {
        fails: (): never => {
          throw new Error('again')
        },
        hangs: (_payload: unknown, ctx) =>
          new Promise<void>((_resolve, reject) => {
            ctx.signal.addEventListener('abort', () => {
              whys.push((ctx.signal.reason as AbortedError).why)
              reject(ctx.signal.reason as Error)
            })
          }),
      },
    })
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.fails, undefined, { deadline: '150ms', id: 'tries' })
    await t.troupe.send(actor.hangs, {}, { deadline: '150ms', id: 'hangs' })
    await t.events.wait('dead', { count: 2 })
    expect(t.events.of('dead').map((event) => event.reason)).toEqual(['deadline', 'deadline'])
    expect(t.events.of('retry').filter((event) => event.id === 'tries').length).toBeGreaterThan(1)
    expect(whys).toEqual(['deadline'])
  })
})
