/**
 * A timer that dies between any two steps of a look (actors/timer/looks.ts, account.ts). Each call to the broker is a place to die at: before
 * it is made, or after it was carried out and before its answer came. Then another timer looks, and a worker runs
 * what is in the mailbox; nothing is left out and nothing is done twice.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { defineActor, type ScheduleInput, type ScheduleOptions } from 'troupe'
import { describe, expect, it } from 'vitest'

import { Looks } from '#actors/timer/looks.js'
import type { Broker } from '#runtime/broker/broker.js'
import { Bucket } from '#runtime/broker/bucket.js'
import type { ServerClock } from '#runtime/broker/serverClock.js'
import type { Entry } from '#runtime/schedules/ledger.js'
import { openLink } from '#runtime/troupe.js'

import { eventually, testBundle, type Bundle } from '../kit/system.ts'

class Killed extends Error {}

interface Death {
  /** The number of the call at which it dies, from 1; Infinity: never. */
  readonly at: number
  readonly when: 'before' | 'after'
}

/** A broker whose owner dies at a call: from then on nothing that it does reaches anybody, and nothing comes back. */
function mortal(broker: Broker, { at, when }: Death): { broker: Broker; calls: string[] } {
  const calls: string[] = []
  const guarded = <T extends object>(name: string, target: T, methods: readonly (keyof T)[]): T =>
    new Proxy(target, {
      get(object, key) {
        const value: unknown = Reflect.get(object, key, object)
        if (typeof value !== 'function') return value
        const method = value.bind(object) as (...args: unknown[]) => Promise<unknown>
        if (!methods.includes(key as keyof T)) return method
        return async (...args: unknown[]) => {
          const call = calls.push(`${name}.${String(key)}`)
          if (call > at || (call === at && when === 'before')) throw new Killed()
          const answer = await method(...args)
          if (call === at) throw new Killed()
          return answer
        }
      },
    })
  const api = guarded('api', broker.api, ['readMessage', 'deleteMessage', 'streamInfo'])
  const publisher = guarded('publisher', broker.publisher, ['publish'])
  const schedules: Broker['schedules'] = (actor) => new Bucket(broker.subjects.schedulesBucket(actor), api, publisher)
  return { broker: { ...broker, api, publisher, schedules }, calls }
}

function mailer(dedupeWindow: string, seen: string[]) {
  return defineActor('mailer', {
    mailbox: { dedupeWindow },
    messages: { digest: (_: object, ctx) => void seen.push(ctx.id) },
  })
}

/** What NATS holds of the schedule, in words. */
async function left(t: Bundle, jsm: JetStreamManager): Promise<{ accounts: Map<string, string[]>; ticks: number }> {
  const accounts = new Map<string, string[]>()
  const { state } = await jsm.streams.info(`${t.namespace}-ledger`)
  for (let seq = 1; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage(`${t.namespace}-ledger`, { seq })
    if (message === null) continue
    const token = message.subject.split('.').at(-1) ?? ''
    accounts.set(token, [...(accounts.get(token) ?? []), message.json<Entry>().step])
  }
  const timer = await jsm.streams.info(`${t.namespace}-timer-mailer`, {
    subjects_filter: `${t.namespace}.timer.tick.>`,
  })
  return { accounts, ticks: Object.keys(timer.state.subjects ?? {}).length }
}

interface Case {
  readonly what: string
  readonly input: Omit<ScheduleOptions, 'send'> & { readonly every: string }
  /** How much later than it was put the look is: seconds. */
  readonly after: number
  /** Accounts by their last entry, when a worker has run everything. */
  readonly ends: readonly string[]
}

const CASES: readonly Case[] = [
  { what: 'one that is due', input: { every: '1s', overlap: 'skip' }, after: 1, ends: ['ended'] },
  {
    what: 'three that were due while nothing ran, of which the newest is sent',
    input: { every: '1s', overlap: 'skip' },
    after: 3,
    ends: ['ended', 'missed', 'missed'],
  },
  {
    what: 'two that are sent at once, of three that are caught up',
    input: { every: '1s', overlap: 'allow', catchUp: { policy: 'all', pace: '1h' } },
    after: 3,
    ends: ['ended', 'ended'],
  },
]

/** A timer that looks once, at that time. */
async function lookOnce(broker: Broker, { digest: { spec } }: ReturnType<typeof mailer>, now: number): Promise<void> {
  if (spec === undefined) throw new Error('the actor has no definition')
  const services = { writer: 'test', lostAfterMs: 86_400_000, checkMs: 30_000, tell: () => {} }
  const clock = { now: () => now } as ServerClock
  const looks = new Looks(spec, { broker, clock, services: services as never, isHeld: () => false })
  looks.salt = await broker.assets.timerSalt('mailer')
  await looks.look('s')
}

/** A few at once: each has a namespace of its own. */
async function some<T>(items: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  for (let start = 0; start < items.length; start += 6) await Promise.all(items.slice(start, start + 6).map(act))
}

describe.each(CASES)('a timer with $what', ({ input, after, ends }) => {
  /** Looks once with a timer that dies there, then with one that lives; then lets a worker run all. */
  async function live(death: Death, window: string): Promise<{ calls: string[]; seen: string[] }> {
    const seen: string[] = []
    const actor = mailer(window, seen)
    await using t = await testBundle()
    const put = await t.troupe.schedules.put('s', { ...input, send: actor.digest.with({}) } as ScheduleInput)
    const now = (Math.floor((put.createdAt?.getTime() ?? 0) / 1_000) + after) * 1_000 + 5
    const link = await openLink({ servers: t.server.url, namespace: t.namespace, logLevel: 'silent' })
    const jsm = await jetstreamManager(t.troupe.connection)
    const looks = ({ broker }: { broker: Broker }): Promise<void> => lookOnce(broker, actor, now)
    try {
      const first = mortal(link.broker, death)
      await looks(first).catch((error: unknown) => expect(error).toBeInstanceOf(Killed))
      // With a short window the mailbox has forgotten the key by now.
      if (window !== '2m') await sleep(150)
      const second = mortal(link.broker, { at: Infinity, when: 'before' })
      await looks(second)
      // Nothing is left to do: the next look sends nothing and stores nothing.
      const { revision } = (await link.broker.schedules('mailer').read('s')) ?? {}
      await looks(second)
      expect((await link.broker.schedules('mailer').read('s'))?.revision).toBe(revision)
      expect((await left(t, jsm)).ticks).toBe(1)
      await t.troupe.schedules.pause('s')
      // The wall's time is far behind the looks': nothing but what they left is run.
      await t.another([actor])
      await eventually('all has ended', async () => {
        const { state } = await jsm.streams.info(`${t.namespace}-mailbox-mailer`)
        return state.messages === 0
      })
      const { accounts } = await left(t, jsm)
      const last = [...accounts.values()].map((steps) => steps.at(-1) ?? '')
      expect(last.toSorted()).toEqual(ends)
      for (const steps of accounts.values())
        expect(steps.filter((step) => step === 'sent').length).toBeLessThanOrEqual(1)
      expect(seen).toHaveLength(ends.filter((end) => end === 'ended').length)
      expect(new Set(seen).size).toBe(seen.length)
      const { counts } = await t.troupe.schedules.get('s')
      expect([counts.sent, counts.missed]).toEqual([seen.length, ends.filter((end) => end === 'missed').length])
      return { calls: first.calls, seen }
    } finally {
      await link.close()
    }
  }

  it(
    'dies at each call in turn, before or after it: each is accounted for and run once (P6)',
    { timeout: 120_000 },
    async () => {
      const { calls } = await live({ at: Infinity, when: 'before' }, '2m')
      expect(calls.length).toBeGreaterThan(5)
      const deaths = calls.flatMap((_, index) => [
        { at: index + 1, when: 'before' as const },
        { at: index + 1, when: 'after' as const },
      ])
      await some(deaths, (death) => live(death, '2m'))
    },
  )

  it(
    'dies after each call, and the mailbox has forgotten its keys: each is run once all the same (P6)',
    { timeout: 120_000 },
    async () => {
      const { calls } = await live({ at: Infinity, when: 'before' }, '100ms')
      const deaths = calls.map((_, index) => ({ at: index + 1, when: 'after' as const }))
      await some(deaths, (death) => live(death, '100ms'))
    },
  )
})

describe('a timer that lets a run wait for the one before', () => {
  async function live(death: Death): Promise<string[]> {
    const seen: string[] = []
    const actor = mailer('2m', seen)
    const input = { every: '1s', overlap: 'bufferAll', catchUp: { policy: 'all', pace: '1ms' } } as const
    await using t = await testBundle()
    const put = await t.troupe.schedules.put('s', { ...input, send: actor.digest.with({}) })
    const base = Math.floor((put.createdAt?.getTime() ?? 0) / 1_000) * 1_000 + 5
    const link = await openLink({ servers: t.server.url, namespace: t.namespace, logLevel: 'silent' })
    const jsm = await jetstreamManager(t.troupe.connection)
    try {
      // One runs, one is to wait; then two more have come due, and the one that was to wait is among what is caught up.
      await lookOnce(link.broker, actor, base + 1_000)
      const dying = mortal(link.broker, death)
      await lookOnce(dying.broker, actor, base + 2_000).catch((error: unknown) => expect(error).toBeInstanceOf(Killed))
      await lookOnce(link.broker, actor, base + 4_000)
      await t.troupe.schedules.put('s', { ...input, until: base + 4_500, send: actor.digest.with({}) })
      await t.another([actor])
      await eventually('all has ended', async () => {
        const { accounts } = await left(t, jsm)
        return accounts.size === 4 && [...accounts.values()].every((steps) => steps.at(-1) === 'ended')
      })
      expect(new Set(seen).size).toBe(4)
      expect(seen).toHaveLength(4)
      return dying.calls
    } finally {
      await link.close()
    }
  }

  it('dies at each call in turn: it does not wait for ever (P6)', { timeout: 120_000 }, async () => {
    const calls = await live({ at: Infinity, when: 'before' })
    await some(
      calls.map((_, index) => ({ at: index + 1, when: 'after' as const })),
      live,
    )
  })
})
