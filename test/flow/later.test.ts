import { headers } from '@nats-io/nats-core'
import { defineActor } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, testBundle } from '../kit/system.ts'

interface Ran {
  readonly payload: unknown
  readonly at: number
  readonly lateMs: number
}

function alarm(): { ran: Ran[]; actor: ReturnType<typeof make> } {
  const ran: Ran[] = []
  const make = () =>
    defineActor('alarm', {
      messages: {
        ring: (payload: unknown, ctx) => {
          const at = Date.now()
          ran.push({ payload, at, lateMs: at - (ctx.planned?.getTime() ?? Number.NaN) })
          return payload
        },
      },
    })
  return { ran, actor: make() }
}
const make = () => alarm().actor
const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

describe('a delayed message', () => {
  it.each(['20ms', '400ms', '900ms', '1500ms'])('comes after %s, not before', async (delay) => {
    const { ran, actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    const sentAt = Date.now()
    await t.troupe.send(actor.ring, 1, { delay })
    await t.events.wait('done')
    expect(ran[0]?.at).toBeGreaterThanOrEqual(sentAt + Number.parseInt(delay, 10))
    expect(ran[0]?.lateMs).toBeGreaterThanOrEqual(0)
  })

  it('comes at its moment: a Date, or one that has passed', async () => {
    const { ran, actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.ring, 'future', { at: new Date(Date.now() + 700) })
    await t.troupe.send(actor.ring, 'past', { at: '2020-01-01T00:00:00Z' })
    await t.events.wait('done', { count: 2 })
    expect(ran.map((one) => one.payload)).toEqual(['past', 'future'])
  })

  it('waits for a worker: late, once', async () => {
    const { ran, actor } = alarm()
    await using t = await testBundle()
    await t.troupe.send(actor.ring, 1, { delay: '100ms' })
    await new Promise((resolve) => setTimeout(resolve, 150)) // the delay is what passes here
    await t.another([actor])
    await t.another([actor])
    await t.events.wait('done')
    await t.troupe.ask(actor.ring, 'last')
    expect(ran.map((one) => one.payload)).toEqual([1, 'last'])
  })

  it('that is due with thousands is published with some, not with all at once: the loop goes on between', async () => {
    const { ran, actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    const at = new Date(Date.now() + 2_000)
    await t.troupe.sendMany(actor.ring, numbers(2_000), { at })
    const held = (): number => t.system.timers.get('alarm')?.held.count ?? 0
    let [before, largest] = [0, 0]
    // Seen at each turn of the loop: what is published in one go is gone between two looks.
    while (ran.length < 2_000) {
      await new Promise((resolve) => setImmediate(resolve))
      largest = Math.max(largest, before - held())
      before = held()
    }
    expect(largest).toBeGreaterThan(0)
    expect(largest).toBeLessThanOrEqual(256)
  })

  it('is parked with at most 512 others at a time, however many come', async () => {
    const { actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    const sent = t.troupe.sendMany(actor.ring, numbers(4_000), { delay: '1h' })
    let most = 0
    const look = setInterval(() => (most = Math.max(most, t.system.timers.get('alarm')?.holding ?? 0)))
    await sent
    await eventually('all are parked', async () => (await parkedIn(t)) === 4_000)
    clearInterval(look)
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(512)
  })

  it('that was handed over before is not sent again when who had it acks it meanwhile (P5)', async () => {
    const { ran, actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    await t.system.stop()
    const ackedMeanwhile = await handedOver(t, 'acked meanwhile', 901)
    await handedOver(t, 'not acked', 902)
    const next = await t.another([actor])
    await eventually('both are held', () => next.timers.get('alarm')?.held.count === 2)
    await ackedMeanwhile()
    await t.events.wait('done')
    await t.troupe.ask(actor.ring, 'last', { delay: '300ms' })
    expect(ran.map((one) => one.payload)).toEqual(['not acked', 'last'])
  })

  it('under an id that waits already is the same message', async () => {
    const { ran, actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    const first = await t.troupe.send(actor.ring, 'first', { delay: '800ms', id: 'x' })
    const second = await t.troupe.send(actor.ring, 'second', { delay: '800ms', id: 'x' })
    expect([first.duplicate, second.duplicate]).toEqual([false, true])
    await t.events.wait('done')
    expect(ran.map((one) => one.payload)).toEqual(['first'])
  })

  it('keeps its headers, its lane and its format', async () => {
    const got: unknown[] = []
    const actor = defineActor('keeps', {
      messages: { go: (payload: unknown, ctx) => void got.push(payload, ctx.headers['tenant']) },
    })
    await using t = await testBundle({ actors: [actor] })
    const payload = new Map([['at', new Date(7)]])
    await t.troupe.send(actor.go, payload, {
      delay: '700ms',
      lane: 'high',
      format: 'msgpack',
      headers: { tenant: 'acme' },
    })
    await t.events.wait('done')
    expect(got).toEqual([payload, 'acme'])
    const info = await t.troupe.connection.request(`$JS.API.CONSUMER.INFO.${t.namespace}-mailbox-keeps.high`)
    expect(info.json<{ delivered: { consumer_seq: number } }>().delivered.consumer_seq).toBe(1)
  })

  it('expires from when it is due, not from when it was sent', async () => {
    const { ran, actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.ring, 1, { delay: '800ms', expires: '500ms' })
    await t.events.wait('done')
    expect(ran).toHaveLength(1)
  })

  it('gives its result to who kept it or asked', async () => {
    const { actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    const sent = await t.troupe.send(actor.ring, 5, { delay: '100ms', keep: '1m' })
    expect(await sent.result()).toBe(5)
    expect(await t.troupe.ask(actor.ring, 6, { delay: '700ms' })).toBe(6)
  })

  it('hundreds come, each once, in any order of due times', async () => {
    const { ran, actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    await t.another([actor])
    const payloads = Array.from({ length: 400 }, (_, n) => n)
    await Promise.all(payloads.map((n) => t.troupe.send(actor.ring, n, { delay: (n * 37) % 1_200 })))
    await t.events.wait('done', { count: 400 })
    expect(new Set(ran.map((one) => one.payload)).size).toBe(400)
    expect(Math.min(...ran.filter((one) => !Number.isNaN(one.lateMs)).map((one) => one.lateMs))).toBeGreaterThanOrEqual(
      0,
    )
  })
})

describe('replacing what still waits', () => {
  it('the last payload wins, at its own time', async () => {
    const { ran, actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.ring, 'first', { delay: '1h', id: 'x', replace: true })
    await t.troupe.send(actor.ring, 'second', { delay: '2h', id: 'x', replace: true })
    await t.troupe.send(actor.ring, 'third', { delay: '900ms', id: 'x', replace: true })
    await t.events.wait('done')
    expect(ran.map((one) => one.payload)).toEqual(['third'])
    await eventually('nothing is parked', async () => (await parkedIn(t)) === 0)
  })

  it('again and again is a debounce, also for delays of a moment, with two timers', async () => {
    const { ran, actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    await t.another([actor])
    for (let n = 1; n <= 12; n++) {
      await t.troupe.send(actor.ring, n, { delay: '400ms', id: 'typing', replace: true })
      await new Promise((resolve) => setTimeout(resolve, 60)) // a key is pressed now and then
    }
    await t.events.wait('done')
    await t.troupe.ask(actor.ring, 'last', { delay: '700ms' })
    expect(ran.map((one) => one.payload)).toEqual([12, 'last'])
  })

  it('starts anew when what waited has run', async () => {
    const { ran, actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.ring, 1, { delay: '50ms', id: 'x', replace: true })
    await t.events.wait('done')
    await t.troupe.send(actor.ring, 2, { delay: '50ms', id: 'x', replace: true })
    await t.events.wait('done', { count: 2 })
    expect(ran.map((one) => one.payload)).toEqual([1, 2])
  })

  it('with a delay takes the place of one that is far off', async () => {
    const { ran, actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.ring, 'far', { delay: '1h', id: 'x' })
    await t.troupe.send(actor.ring, 'near', { delay: '100ms', id: 'x', replace: true })
    await t.events.wait('done')
    expect(ran.map((one) => one.payload)).toEqual(['near'])
    await eventually('nothing is parked', async () => (await parkedIn(t)) === 0)
  })

  it('reaches one that is released already and was not sent to be replaced', async () => {
    const { ran, actor } = alarm()
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.ring, 'first', { delay: '500ms', id: 'x' })
    await t.troupe.send(actor.ring, 'second', { delay: '600ms', id: 'x', replace: true })
    await t.events.wait('done')
    await t.troupe.ask(actor.ring, 'last', { delay: '700ms' })
    expect(ran.map((one) => one.payload)).toEqual(['second', 'last'])
  })
})

/**
 * A released message, due in 3 s, that was handed to a timer which never acked it, and came back when its lease had passed. Returns
 * the ack of that timer.
 */
async function handedOver(
  t: Awaited<ReturnType<typeof testBundle>>,
  payload: string,
  origin: number,
): Promise<() => Promise<unknown>> {
  const { connection } = t.troupe
  const [stream, id] = [`${t.namespace}-timer-alarm`, payload.replaceAll(' ', '-')]
  const own = headers()
  own.set('Troupe-Id', id)
  own.set('Troupe-Due', String(Date.now() + 3_000))
  own.set('Troupe-Subject', `${t.namespace}.later.alarm.ring`)
  own.set('Troupe-Origin', `${t.namespace}-mailbox-alarm:${origin}`)
  const due = `${t.namespace}.timer.due.alarm.at.ring.${id}`
  await connection.request(due, JSON.stringify(payload), { headers: own, timeout: 5_000 })
  const delivery = await connection.request(`$JS.API.CONSUMER.MSG.NEXT.${stream}.due`, '{"batch":1}', {
    timeout: 5_000,
    // It comes under its own subject, not under that of the answer.
    noMux: true,
  })
  const place = delivery.reply ?? ''
  await connection.request(place, '-NAK')
  return () => connection.request(place, '+ACK')
}

async function parkedIn(t: Awaited<ReturnType<typeof testBundle>>): Promise<number> {
  const info = await t.troupe.connection.request(`$JS.API.STREAM.INFO.${t.namespace}-timer-alarm`)
  return info.json<{ state: { messages: number } }>().state.messages
}
