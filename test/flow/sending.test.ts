/** Middleware around sending: composed in one place, and around every way to send. */
import { defineActor, PayloadError, type Outgoing, type SendMiddleware } from 'troupe'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

import { rejection, testBundle } from '../kit/system.ts'

const text = z.object({ text: z.string() })

const echo = defineActor('echo', {
  messages: {
    say: { payload: text, handle: async ({ text: said }, ctx) => `${said} ${ctx.headers['X-By'] ?? ''}`.trim() },
  },
})
const relay = defineActor('relay', {
  messages: {
    pass: async (payload: { text: string }, ctx) => {
      await ctx.send(echo.say, payload)
      return ctx.ask(echo.say, payload)
    },
  },
})

/** Signs what goes out, and writes down the way. */
function signing(name: string, log: string[]): SendMiddleware {
  return async (outgoing, next) => {
    log.push(`${name} ${outgoing.kind} ${outgoing.actor}.${outgoing.message}`)
    const headers = { ...outgoing.options.headers, 'X-By': `${outgoing.options.headers?.['X-By'] ?? ''}${name}` }
    const result = await next({ ...outgoing, options: { ...outgoing.options, headers } })
    log.push(`${name} done`)
    return result
  }
}

describe('middleware around sending', () => {
  it('is around send, ask and each of sendMany, the first outermost', async () => {
    const log: string[] = []
    await using t = await testBundle({ actors: [echo] })
    const troupe = await t.sender({ sending: [signing('a', log), signing('b', log)] })
    expect(await troupe.ask(echo.say, { text: 'hi' })).toBe('hi ab')
    expect(log).toEqual(['a ask echo.say', 'b ask echo.say', 'b done', 'a done'])
    const sent = await troupe.send(echo.say, { text: 'ho' }, { keep: '1m', headers: { 'X-By': 'me' } })
    expect(await sent.result()).toBe('ho meab')
    log.length = 0
    const fates = await troupe.sendMany(echo.say, [{ text: '1' }, { text: '2' }, { text: '3' }], { keep: '1m' })
    expect(await Promise.all(fates.map(async (fate) => fate.sent?.result()))).toEqual(['1 ab', '2 ab', '3 ab'])
    expect(log.filter((line) => line === 'a send echo.say')).toHaveLength(3)
  })

  it('is around what handlers send, who are named', async () => {
    const seen: Outgoing[] = []
    const sending: SendMiddleware = (outgoing, next) => {
      seen.push(outgoing)
      return next(outgoing)
    }
    await using t = await testBundle({ actors: [echo, relay], sending: [sending] })
    const sent = await t.troupe.send(relay.pass, { text: 'hi' }, { id: 'first', keep: '1m' })
    expect(await sent.result()).toBe('hi')
    const from = { id: 'first', root: 'first' }
    expect(seen).toMatchObject([
      { kind: 'send', actor: 'echo', payload: { text: 'hi' }, from },
      { kind: 'ask', actor: 'echo', payload: { text: 'hi' }, from },
    ])
    await t.system.troupe.send(echo.say, { text: 'by the system' })
    expect(seen.at(-1)).toMatchObject({ payload: { text: 'by the system' }, from: undefined })
  })

  it('may change the payload, which is checked as if it had been sent so, and refuse it', async () => {
    await using t = await testBundle({ actors: [echo] })
    const changing = (change: (payload: unknown) => unknown): SendMiddleware[] => [
      (outgoing, next) => next({ ...outgoing, payload: change(outgoing.payload) }),
    ]
    const louder = await t.sender({
      sending: changing((payload) => ({ text: text.parse(payload).text.toUpperCase() })),
    })
    expect(await louder.ask(echo.say, { text: 'hi' })).toBe('HI')
    const breaking = await t.sender({ sending: changing(() => ({ text: 1 })) })
    expect(await rejection(breaking.send(echo.say, { text: 'hi' }))).toBeInstanceOf(PayloadError)
    const refusing = await t.sender({ sending: [() => Promise.reject(new Error('not on Sundays'))] })
    expect((await rejection(refusing.ask(echo.say, { text: 'hi' }))).message).toBe('not on Sundays')
    const [fate] = await refusing.sendMany(echo.say, [{ text: 'hi' }])
    expect(fate?.error?.message).toBe('not on Sundays')
  })
})
