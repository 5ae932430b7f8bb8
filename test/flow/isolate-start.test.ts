/** Threads and processes that can't start: each a report that says why, and never a hot loop. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { NatsConnection } from '@nats-io/transport-node'
import { defineActor } from 'troupe'
import { describe, expect, it } from 'vitest'

import { eventually, rejection, testBundle } from '../kit/system.ts'

const moduleOf = (name: string): URL => new URL(`fixtures/broken/${name}.ts`, import.meta.url)

describe.each(['process', 'thread'] as const)('a %s whose module', (kind) => {
  it.each([
    ['throws', [/throws\.ts.* could not be loaded: TypeError: this module can not be loaded/]],
    ['nothing', [/nothing\.ts to export actor broken/, /exports something\./, /module: import\.meta\.url/]],
    ['exits', [/ended with exit code 3 before it was ready/]],
    ['starts', [/starts a system when it is imported/, /a file of its own/]],
    ['resource', [/the database is away/]],
    ['gone', [/could not be loaded/]],
    ['hangs', [/to be ready within 1s \(startWithin\)/]],
  ] as const)('%s: its system does not start, and says why', async (name, texts) => {
    await using t = await testBundle()
    const isolate = { kind, workers: 2, spares: 0 }
    const broken = defineActor('broken', {
      isolate,
      module: moduleOf(name),
      startWithin: name === 'hangs' ? '1s' : '20s',
      messages: { work: () => 1 },
    })
    const error = await rejection(t.another([broken]))
    expect(error).toMatchObject({ name: 'ActorError', code: 'START_FAILED' })
    for (const text of texts) expect(error.message).toMatch(text)
    if (name === 'throws') expect((error.cause as Error).cause).toBeInstanceOf(TypeError)
    if (name === 'exits')
      expect(error['data']).toMatchObject({ code: 3, stderr: expect.stringContaining('no configuration') })
  })
})

it('is refused where nobody can know the module, and where inline could not keep a limit', () => {
  const messages = { work: () => 1 }
  expect(() => defineActor('x', { isolate: 'threads' as never, messages })).toThrow(/one of inline, thread, process/)
  expect(() => defineActor('x', { memoryLimit: '1GB', messages })).toThrow(
    /x\.isolate to be thread or process where memoryLimit is given/,
  )
  expect(() => defineActor('x', { isolate: 'process', module: './x.ts', messages })).toThrow(
    /module: import\.meta\.url/,
  )
})

it(
  'a pool of which none is left and none starts is the failure of its actor: the supervisor starts it again',
  { timeout: 120_000 },
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'troupe-late-'))
    const flag = join(dir, 'flag')
    process.env['TROUPE_TEST_FLAG'] = flag
    await writeFile(flag, '')
    try {
      const { late } = await import('./fixtures/broken/late.ts')
      await using t = await testBundle({ actors: [late] })
      const members = () => t.system.hosted.get('late')?.members ?? []
      await eventually('both are ready', () => members().filter(({ state }) => state === 'ready').length >= 2, 30_000)
      const first = t.system.hosted.get('late')
      const ended: string[] = []
      void first?.ended.then((exit) => ended.push(exit.kind))
      await rm(flag)
      const starts = countStarts(t.troupe.connection, t.namespace)
      await t.troupe.send(late.die, {})
      await t.troupe.send(late.die, {})
      await eventually('its actor has failed', () => ended.length > 0, 60_000)
      expect(ended).toEqual(['failed'])
      // Not a hot loop: each start waits longer than the one before.
      expect(starts.ended).toBeLessThan(12)
      await writeFile(flag, '')
      expect(await t.troupe.ask(late.work, {}, { timeout: '60s' })).toBe('done')
      expect(t.system.hosted.get('late')).not.toBe(first)
    } finally {
      delete process.env['TROUPE_TEST_FLAG']
      await rm(dir, { recursive: true, force: true })
    }
  },
)

/** Members that ended, by the events of systems. */
function countStarts(connection: NatsConnection, namespace: string): { ended: number } {
  const counts = { ended: 0 }
  connection.subscribe(`${namespace}.event.system.*.member-ended`, { callback: () => void counts.ended++ })
  return counts
}
