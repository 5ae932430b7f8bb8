/**
 * Schedules of an actor whose workers are of another language: whether a run still goes on is asked of the ledger, and where its worker
 * keeps no accounts, of where its message is.
 */
import { declareActor, type ScheduleInput } from 'troupe'
import { describe, expect, it } from 'vitest'

import { accounts, NEVER, statesOf } from '../kit/clerk.ts'
import { eventually, gate, testBundle, type Bundle } from '../kit/system.ts'
import { openSocket } from './clients/socket.ts'
import { Verdict, Worker, type WorkerOptions } from './clients/worker/worker.ts'

const declared = declareActor('foreign', { lease: '1s', messages: { work: {} } })

interface Stage extends AsyncDisposable {
  readonly t: Bundle
  /** Attempts that were begun, in order. */
  readonly begun: number[]
  /** Asks for one run. */
  trigger(): Promise<unknown>
}

/** A system that runs the actor's timer, a worker on a bare socket, and a schedule that runs when it is asked to. */
async function stage(
  handle: (attempt: number) => unknown,
  schedule: Pick<ScheduleInput, 'overlap' | 'pauseOnFailure'>,
  own: Partial<WorkerOptions> = {},
): Promise<Stage> {
  const t = await testBundle({ actors: [declared] })
  const wire = await openSocket(t.server.url)
  const begun: number[] = []
  const worker = new Worker(wire, {
    namespace: t.namespace,
    actor: 'foreign',
    leaseMs: 1_000,
    name: 'bare/foreign',
    maxPayload: wire.maxPayload,
    handlers: {
      work: (_payload, { attempt }) => {
        begun.push(attempt)
        return handle(attempt)
      },
    },
    rule: { attempts: 2, baseMs: 20, factor: 2, maxMs: 1_000, jitter: 0 },
    keepsAccounts: false,
    ...own,
  })
  await worker.start()
  await t.troupe.schedules.put('one', { ...NEVER, ...schedule, send: declared.work.with({}) })
  return {
    t,
    begun,
    trigger: () => t.troupe.schedules.trigger('one'),
    [Symbol.asyncDispose]: async () => {
      wire.kill()
      await t[Symbol.asyncDispose]()
    },
  }
}

async function stored({ troupe, namespace }: Bundle, stream: string): Promise<number> {
  const reply = await troupe.connection.request(`$JS.API.STREAM.INFO.${namespace}-${stream}`)
  return reply.json<{ state: { messages: number } }>().state.messages
}

const isEmptied = (t: Bundle): Promise<void> =>
  eventually('the mailbox is empty', async () => (await stored(t, 'mailbox-foreign')) === 0)

describe('a worker that keeps no accounts', () => {
  it('runs as long as its message is in the mailbox, and no longer', async () => {
    const open = gate()
    await using s = await stage(() => open.passed, { overlap: 'skip' })
    await s.trigger()
    await eventually('it runs', () => s.begun.length === 1)
    await s.trigger()
    await accounts(s.t, 'one', 'sent', 'skipped')
    open.open()
    await isEmptied(s.t)
    await s.trigger()
    await accounts(s.t, 'one', 'sent', 'skipped', 'sent')
    await eventually('it ran', () => s.begun.length === 2)
  })

  it('what waits for its run is sent when that has left the mailbox', async () => {
    const open = gate()
    await using s = await stage(() => open.passed, { overlap: 'bufferOne' })
    await s.trigger()
    await eventually('it runs', () => s.begun.length === 1)
    await s.trigger()
    await accounts(s.t, 'one', 'sent', 'waiting')
    open.open()
    await isEmptied(s.t)
    // A look; nobody tells of the end, so the timer's own comes within a minute.
    await s.trigger()
    await eventually('what waited ran', () => s.begun.length >= 2)
    expect((await statesOf(s.t, 'one')).slice(0, 2)).toEqual(['sent', 'sent'])
  })

  it.each([
    ['parked', 1_500],
    ['held by a timer', 550],
  ])(
    'a run that is to be tried again goes on while its retry is %s, and when that is in the mailbox',
    async (_, afterMs) => {
      const open = gate()
      const handle = (attempt: number): unknown => (attempt === 1 ? new Verdict('retry', afterMs) : open.passed)
      await using s = await stage(handle, { overlap: 'skip' })
      await s.trigger()
      await eventually('it is to be tried again', async () => (await stored(s.t, 'timer-foreign')) === 2)
      await isEmptied(s.t)
      await s.trigger()
      await accounts(s.t, 'one', 'sent', 'skipped')
      await eventually('it is tried again', () => s.begun.length === 2)
      await s.trigger()
      await accounts(s.t, 'one', 'sent', 'skipped', 'skipped')
      open.open()
      await isEmptied(s.t)
      await s.trigger()
      await accounts(s.t, 'one', 'sent', 'skipped', 'skipped', 'sent')
      expect(s.begun.slice(0, 3)).toEqual([1, 2, 1])
    },
  )
})

describe('a retry that is back in the mailbox, when its timer could not write down where', () => {
  it('goes on, comes once, and is followed from there', async () => {
    const open = gate()
    const handle = (attempt: number): unknown => (attempt === 1 ? new Verdict('retry', 1_500) : open.passed)
    await using s = await stage(handle, { overlap: 'skip' })
    await s.trigger()
    await eventually('it is to be tried again', async () => (await stored(s.t, 'timer-foreign')) === 2)
    await accounts(s.t, 'one', 'sent')
    const ledger = await configOf(s.t, 'ledger')
    const naks: unknown[] = []
    s.t.troupe.connection.subscribe(`$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.${s.t.namespace}-timer-foreign.due`, {
      callback: (_error, msg) => void naks.push(msg.json()),
    })
    await update(s.t, { ...ledger, discard: 'new', max_msgs: await stored(s.t, 'ledger') })
    await eventually('it is tried again', () => s.begun.length === 2)
    await eventually('its timer was refused, and gave it back', () => naks.length === 1)
    await update(s.t, ledger)
    expect(await stored(s.t, 'timer-foreign')).toBe(2)
    await s.trigger()
    await accounts(s.t, 'one', 'sent', 'skipped')
    await eventually('it is written down', async () => (await stored(s.t, 'timer-foreign')) === 1)
    await s.trigger()
    await accounts(s.t, 'one', 'sent', 'skipped', 'skipped')
    open.open()
    await isEmptied(s.t)
    expect(s.begun).toEqual([1, 2])
    await s.trigger()
    await accounts(s.t, 'one', 'sent', 'skipped', 'skipped', 'sent')
  })

  it('is followed too where the timer that sent the run could not say so', async () => {
    const open = gate()
    const handle = (attempt: number): unknown => (attempt === 1 ? new Verdict('retry', 1_500) : open.passed)
    await using s = await stage(handle, { overlap: 'skip' })
    const ledger = await configOf(s.t, 'ledger')
    await update(s.t, { ...ledger, discard: 'new', max_msgs: 1 })
    await s.trigger()
    await eventually('it runs', () => s.begun.length === 1)
    await accounts(s.t, 'one', 'intent')
    await update(s.t, ledger)
    await eventually('it is tried again', () => s.begun.length === 2)
    await accounts(s.t, 'one', 'sent')
    await s.trigger()
    await accounts(s.t, 'one', 'sent', 'skipped')
    await s.trigger()
    await accounts(s.t, 'one', 'sent', 'skipped', 'skipped')
    open.open()
    expect(s.begun).toEqual([1, 2])
  })

  type StreamConfig = Readonly<Record<string, unknown>>

  async function configOf({ troupe, namespace }: Bundle, stream: string): Promise<StreamConfig> {
    const reply = await troupe.connection.request(`$JS.API.STREAM.INFO.${namespace}-${stream}`)
    return reply.json<{ config: StreamConfig }>().config
  }

  async function update({ troupe }: Bundle, config: StreamConfig): Promise<void> {
    const subject = `$JS.API.STREAM.UPDATE.${String(config['name'])}`
    const reply = await troupe.connection.request(subject, JSON.stringify(config))
    expect(reply.json<{ error?: unknown }>().error).toBeUndefined()
  }
})

describe('a worker that keeps accounts', () => {
  it('that a run of it died pauses a schedule that says so', async () => {
    await using s = await stage(
      () => new Verdict('dead', 0, 'no such thing'),
      { overlap: 'skip', pauseOnFailure: true },
      { keepsAccounts: true },
    )
    await s.trigger()
    await accounts(s.t, 'one', 'dead')
    await eventually('it is paused', async () => (await s.t.troupe.schedules.get('one')).state === 'paused')
  })
})
