/** Copies of one message, and equal ids, that must not be taken for repeats of each other. */
import { jetstreamManager } from '@nats-io/jetstream'
import { dead, defineActor, run, snooze } from 'troupe'
import { describe, expect, it } from 'vitest'

import { startServer } from '../kit/server.ts'
import { ids, many, until } from './bed.ts'

interface Seen {
  runs: number
  readonly done: Set<string>
  isDeadly: boolean
}

/** An actor whose messages snooze twice, or die as long as they are told to. */
function twin(name: string, seen: Seen) {
  const snoozed = new Map<string, number>()
  return defineActor(name, {
    concurrency: 200,
    lease: '5s',
    messages: {
      snoozes: (_: unknown, ctx) => {
        const times = snoozed.get(ctx.id) ?? 0
        snoozed.set(ctx.id, times + 1)
        seen.runs++
        expect(ctx.attempt).toBe(1)
        if (times < 2) return snooze(times === 0 ? 50 : 800)
        return void seen.done.add(ctx.id)
      },
      dies: (_: unknown, ctx) => {
        seen.runs++
        if (seen.isDeadly) return dead('as asked')
        return void seen.done.add(ctx.id)
      },
    },
  })
}

describe('the same id', () => {
  it(
    'snoozed twice, dead twice, and at two actors within two minutes, is never lost as a false duplicate (P1, P4)',
    { timeout: 300_000 },
    async () => {
      await using server = await startServer()
      const fresh = (): Seen => ({ runs: 0, done: new Set(), isDeadly: true })
      const seen = [fresh(), fresh()] as const
      const actors = [twin('left', seen[0]), twin('right', seen[1])] as const
      await using system = await run({ actors, servers: server.url, signals: false, logLevel: 'silent' })
      const { troupe } = system
      const sent = ids(many(150))
      const each = async (message: 'snoozes' | 'dies'): Promise<void> => {
        const options = { id: (_: unknown, index: number) => `${message}${sent[index]}` }
        await Promise.all(
          actors.map((actor) =>
            troupe.sendMany(
              actor[message],
              sent.map(() => ({})),
              options,
            ),
          ),
        )
      }
      const jsm = await jetstreamManager(troupe.connection)
      const letters = async (): Promise<number> => (await jsm.streams.info('troupe-dead')).state.messages
      const allDead = actors.length * sent.length

      await each('snoozes')
      await until('snoozed messages', () => seen.every(({ done }) => done.size === sent.length))
      expect(seen.map(({ runs }) => runs)).toEqual([3 * sent.length, 3 * sent.length])

      await each('dies')
      await until('dead letters', async () => (await letters()) === allDead)
      for (let round = 2; round <= 3; round++) {
        const before = seen[0].runs + seen[1].runs
        expect(await troupe.dead.retry({})).toHaveLength(allDead)
        await until(
          'second deaths',
          async () => seen[0].runs + seen[1].runs === before + allDead && (await letters()) === allDead,
        )
      }
      const named = new Set<string>()
      for await (const letter of troupe.dead.list()) named.add(`${letter.actor} ${letter.id}`)
      expect(named.size).toBe(allDead)
      for (const one of seen) one.isDeadly = false
      await troupe.dead.retry({})
      await until('the last try', () => seen.every(({ done }) => done.size === 2 * sent.length))
      expect(await letters()).toBe(0)
      const runs = seen[0].runs + seen[1].runs
      console.log(
        `same ids: sent ${2 * allDead}, handled ${seen[0].done.size + seen[1].done.size}, twice 0, lost 0, runs ${runs}`,
      )
      // Three runs of each that snoozes, four of each that dies: nothing ran once too often.
      expect(runs).toBe(7 * allDead)
    },
  )
})
