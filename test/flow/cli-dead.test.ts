import { actorRef, connect, type MessageRef } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { makeProject, type Ended, type Project } from '../kit/cli.ts'
import { startServer, type TestServer } from '../kit/server.ts'

/** Fails until a file says otherwise. */
const fragile = `
  import { existsSync } from 'node:fs'
  import { defineActor } from 'troupe'
  export const fragile = defineActor('fragile', {
    retry: { attempts: 1 },
    messages: {
      work: async (payload: { n: number }) => {
        if (!existsSync('mended')) throw Object.assign(new Error('broken\\n\\u001B[31m' + payload.n), { code: 'E_BROKEN' })
        console.log('worked ' + payload.n)
      },
      other: async () => { throw new Error('always') },
    },
  })`

type Ref = MessageRef<object, unknown>

interface Letter {
  readonly id: string
  readonly sequence: number
}

let server: TestServer
let project: Project

beforeAll(async () => {
  server = await startServer()
  project = await makeProject({ files: { 'fragile.ts': fragile }, env: { TROUPE_NATS_SERVERS: server.url } })
})

afterAll(async () => {
  await project?.[Symbol.asyncDispose]()
  await server?.stop()
})

async function letters(...args: string[]): Promise<string[]> {
  const { stdout } = await project.troupe('dead', 'ls', '--json', ...args)
  return (JSON.parse(stdout) as Letter[]).map(({ id }) => id)
}

const json = ({ stdout }: Ended): unknown => JSON.parse(stdout)

describe('troupe dead', () => {
  it('lists nothing where nothing has died yet', async () => {
    expect(await project.troupe('dead', 'ls', '--namespace=empty')).toMatchObject({ code: 0, stdout: '' })
    expect(await project.troupe('dead', 'show', 'x', '--namespace=empty')).toMatchObject({ code: 1 })
  })

  it('lists, shows, retries and purges, after a dry run', { timeout: 60_000 }, async () => {
    const worker = project.background('start', 'fragile.ts')
    await worker.says('troupe send')
    const { work, other } = actorRef<{ work: Ref; other: Ref }>('fragile')
    await using troupe = await connect({ servers: server.url })
    const asked = ['a', 'b', 'c'].map((id, n) => troupe.ask(work, { n }, { id }))
    asked.push(troupe.ask(other, {}, { id: 'd' }))
    await Promise.allSettled(asked)

    expect((await letters()).toSorted()).toEqual(['a', 'b', 'c', 'd'])
    expect(await letters('--message', 'fragile.other')).toEqual(['d'])
    expect(await letters('--id', 'b', '--actor', 'fragile', '--since', '1h')).toEqual(['b'])
    expect(await letters('--older-than', '1h')).toEqual([])
    expect(await letters('--limit', '2')).toHaveLength(2)

    const table = await project.troupe('dead', 'ls', '--message', 'work')
    expect(table.stdout).toMatch(/^SEQUENCE +ID +MESSAGE +REASON +ATTEMPTS +DIED +ERROR\n/)
    expect(table.stdout).toContain('Error: broken\\u000a\\u001b[31m0')
    expect(table.stdout.trimEnd().split('\n')).toHaveLength(4)

    const shown = await project.troupe('dead', 'show', 'b')
    expect(shown.stdout).toMatch(/code +E_BROKEN/)
    expect(shown.stdout).toMatch(/payload\n {2}\{\n {4}"n": 1\n/)
    expect(shown.stdout).toContain('fragile.ts')
    expect(shown.stdout).not.toContain('\u001B')

    const dry = await project.troupe('dead', 'retry', 'a', 'b')
    expect(dry).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('this would retry 2 dead letters. Add --yes') as string,
    })
    expect(await project.troupe('dead', 'purge', '--all', '--dry-run')).toMatchObject({ code: 0 })
    expect(await letters()).toHaveLength(4)

    await project.write('mended', '')
    const retried = await project.troupe('dead', 'retry', 'a', 'b', '--yes', '--json')
    expect(json(retried)).toMatchObject({ dryRun: false, retried: 2, failed: [] })
    await Promise.all([worker.says('worked 0'), worker.says('worked 1')])
    expect((await letters()).toSorted()).toEqual(['c', 'd'])

    const purged = await project.troupe('dead', 'purge', '--message', 'work', '-y')
    expect(purged).toMatchObject({ code: 0, stdout: expect.stringContaining('purged 1 dead letter\n') as string })
    expect(await letters()).toEqual(['d'])
    expect(await project.troupe('dead', 'retry', 'nobody', '--yes')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('nobody') as string,
    })
  })
})
