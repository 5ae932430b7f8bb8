/** `troupe tree, control, drain` as an operator uses them, on two systems. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { makeProject, type Project, type Running } from '../kit/cli.ts'
import { startServer, type TestServer } from '../kit/server.ts'

const media = `
  import { child, defineActor, supervisor } from 'troupe'
  const messages = { go: async () => 'gone' }
  export const fetcher = defineActor('fetcher', { concurrency: 7, messages })
  const thumbnails = defineActor('thumbnails', { messages })
  const once = defineActor('once', { messages })
  export const media = supervisor('media', {
    strategy: 'rest_for_one',
    children: [fetcher, thumbnails, child(once, { restart: 'temporary' })],
  })`

const mailer = `
  import { defineActor } from 'troupe'
  export const mailer = defineActor('mailer', { messages: { welcome: async () => 'welcome' } })`

let server: TestServer
let project: Project
const systems: Running[] = []

beforeAll(async () => {
  server = await startServer()
  const files = { 'actors/media.ts': media, 'actors/mailer.ts': mailer }
  project = await makeProject({ files, env: { TROUPE_NATS_SERVERS: server.url } })
  systems.push(project.background('start', 'actors/mailer.ts', 'actors/media.ts', '--system', 'one'))
  systems.push(project.background('start', 'actors/mailer.ts', '--system', 'two'))
  await Promise.all(systems.map((system) => system.says('troupe send')))
})

afterAll(async () => {
  await project?.[Symbol.asyncDispose]()
  await server?.stop()
})

async function done(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await project.troupe(...args)
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

interface Tree {
  readonly systems: readonly {
    readonly system: string
    readonly children: readonly { readonly id: string; readonly state: string; readonly restarts: number }[]
  }[]
}

async function children(system: string): Promise<string[]> {
  const { systems: trees } = JSON.parse(await done('tree', system, '--json')) as Tree
  return trees.flatMap((tree) => tree.children.map(({ id, state, restarts }) => `${id} ${state} ${restarts}`))
}

describe('troupe tree', () => {
  it('draws all systems with their supervisors, states and what runs', async () => {
    const lines = (await done('tree')).split('\n').map((line) => line.trimEnd())
    expect(lines[1]).toMatch(/^one \(one_for_one\) +running +\d+\w+ .*pid \d+$/)
    expect(lines[2]).toMatch(/^├─ mailer +running +\d+\w+ .*0\/10$/)
    expect(lines[3]).toMatch(/^└─ media \(rest_for_one\) +running/)
    expect(lines[4]).toMatch(/^ {3}├─ fetcher +running .*0\/7$/)
    expect(lines[5]).toMatch(/^ {3}├─ thumbnails +running/)
    expect(lines[6]).toMatch(/^ {3}└─ once +running .*temporary$/)
    expect(lines.slice(7).join('\n')).toMatch(/two \(one_for_one\)[^]*└─ mailer/)
  })

  it('of a system that does not run says so', async () => {
    const { code, stderr } = await project.troupe('tree', 'three')
    expect(code).toBe(1)
    expect(stderr).toContain('expected a running system called "three", but none answers')
  })
})

describe('troupe control', () => {
  it('restarts an actor in every system that has it, or in one', async () => {
    expect(await done('control', 'restart', 'mailer')).toMatch(/one +mailer +running\ntwo +mailer +running/)
    await done('control', 'restart', 'mailer', '--system', 'two')
    expect(await children('one')).toContain('mailer running 1')
    expect(await children('two')).toEqual(['mailer running 2'])
    expect(await done('ask', 'mailer.welcome', '{}')).toContain('welcome')
  })

  it('stops a supervisor with its actors, and starts it again', async () => {
    expect(await done('control', 'stop', 'media')).toMatch(/one +media +stopped/)
    expect(await children('one')).toContain('media stopped 0')
    const { code } = await project.troupe('ask', 'fetcher.go', '{}', '--timeout', '500ms')
    expect(code).toBe(4)
    expect(await done('control', 'start', 'media', '--json')).toContain('{"system":"one","state":"running"}')
    expect(await done('ask', 'fetcher.go', '{}')).toContain('gone')
  })

  it('forgets a temporary actor that is stopped', async () => {
    await done('control', 'stop', 'once')
    const { code, stderr } = await project.troupe('control', 'start', 'once')
    expect(code).toBe(1)
    expect(stderr).toContain('expected one of mailer, media, fetcher, thumbnails')
  })

  it('says which name may be meant', async () => {
    const { code, stderr } = await project.troupe('control', 'restart', 'mialer')
    expect(code).toBe(1)
    expect(stderr).toContain('did you mean "mailer"?')
  })
})

describe('troupe scale', () => {
  it('changes how many messages an actor runs at once, in all systems or in one', async () => {
    expect(await done('scale', 'mailer', '25')).toMatch(/one +mailer +10 +25\ntwo +mailer +10 +25/)
    expect(await done('scale', 'mailer', '3', '--system', 'two', '--json')).toContain(
      '{"system":"two","from":25,"to":3}',
    )
    expect(await done('tree', 'two')).toMatch(/mailer +running .*0\/3/)
    const wrong = await project.troupe('scale', 'mailer', 'many')
    expect(wrong).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('expected SIZE to be a whole number from 1'),
    })
    const supervisor = await project.troupe('scale', 'media', '3')
    expect(supervisor).toMatchObject({ code: 1, stderr: expect.stringContaining('expected one of mailer, fetcher') })
  })
})

describe('troupe drain', () => {
  it('wants a system or --all', async () => {
    for (const args of [[], ['one', '--all']]) {
      const { code, stderr } = await project.troupe('drain', ...args)
      expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('or --all, and not both') })
    }
  })

  it('ends one system, or all, with code 0, and returns when they have ended', async () => {
    expect(await done('drain', 'two')).toContain('1 system drained: two')
    expect(await systems[1]?.ended).toMatchObject({ code: 0 })
    expect(await done('drain', '--all', '--within', '5s')).toContain('1 system drained: one')
    expect(await systems[0]?.ended).toMatchObject({ code: 0 })
    const { code, stderr } = await project.troupe('drain', '--all')
    expect(code).toBe(1)
    expect(stderr).toContain('expected a running system in namespace troupe, but none answers')
  })
})
