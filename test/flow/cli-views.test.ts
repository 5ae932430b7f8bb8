/** `troupe status, inspect, peek, purge, move, tail, doctor` as an operator uses them. */
import { spawnSync } from 'node:child_process'

import { actorRef, connect, type SendOptions, type Troupe } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { makeProject, type Ended, type Project, type Running } from '../kit/cli.ts'
import { startServer, type TestServer } from '../kit/server.ts'

const work = `
  import { existsSync } from 'node:fs'
  import { setTimeout as sleep } from 'node:timers/promises'
  import { dead, defineActor, snooze, type Context } from 'troupe'
  export const work = defineActor('work', {
    concurrency: 1,
    retry: { attempts: 2, backoff: { base: '1h' } },
    messages: {
      wait: async (payload: { file: string }, ctx: Context) => {
        while (!existsSync(payload.file)) await sleep(10, undefined, { signal: ctx.signal })
      },
      later: async () => snooze('1h'),
      fail: async () => { throw new TypeError('it broke') },
      die: async () => dead('it is over'),
      quick: async () => 'done',
    },
  })`

let server: TestServer
let project: Project
let worker: Running
let troupe: Troupe

beforeAll(async () => {
  server = await startServer()
  const env = { TROUPE_NATS_SERVERS: server.url, TROUPE_SYSTEM: 'first' }
  project = await makeProject({ files: { 'actors/work.ts': work }, env })
  worker = project.background('start', 'actors/work.ts')
  await worker.says('troupe send')
  troupe = await connect({ servers: server.url, logLevel: 'silent' })
})

afterAll(async () => {
  await troupe?.close()
  await project?.[Symbol.asyncDispose]()
  await server?.stop()
})

async function done(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await project.troupe(...args)
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

/** Commands are slow to start: what only prepares is sent from here. */
async function send(message: string, id: string, options: SendOptions = {}, payload: object = {}): Promise<void> {
  const ref = actorRef('work')[message]
  if (ref !== undefined) await troupe.send(ref, payload, { id, ...options })
}

/** Asks again until what it says is what is expected: the state of a message changes a moment after it was sent. */
async function until(text: string | RegExp, ...args: string[]): Promise<Ended> {
  let last: Ended | undefined
  await expect
    .poll(async () => ((last = await project.troupe(...args)), last.stdout + last.stderr), {
      timeout: 20_000,
      interval: 100,
    })
    .toMatch(text)
  return last as Ended
}

describe('where a message is', () => {
  it('is told while it runs, waits, is delayed, retried, snoozed, dead, and done with a kept result', async () => {
    await send('quick', 'kept', { keep: '1h' })
    await until(/ended .*: done, its outcome is kept for sender any/, 'inspect', 'kept')
    await send('fail', 'again')
    await until(/work\.fail {2}attempt 2 {2}is parked \(retry\) until .*after TypeError: it broke/, 'inspect', 'again')
    await send('later', 'snoozed')
    await until(/attempt 1 {2}is parked \(snooze\) until/, 'inspect', 'snoozed')
    await send('die', 'dead')
    await until(/died .* \(rejected\): Rejected: it is over/, 'inspect', 'dead')
    await send('quick', 'delayed', { delay: '1h' })
    await until(/is parked \(delay\) until/, 'inspect', 'delayed')
    await send('wait', 'running', {}, { file: 'go' })
    await until(/runs in first \(first\/work\) since .* until its time limit/, 'inspect', 'running')
    for (const n of [1, 2, 3]) await send('quick', `w${n}`)
    await send('quick', 'high', { lane: 'high' })
    await until(/waits in lane normal, 2 before it/, 'inspect', 'w3')
    const json = JSON.parse(await done('inspect', 'w2', '--actor', 'work', '--json')) as { places: object[] }
    expect(json.places).toEqual([expect.objectContaining({ kind: 'waiting', lane: 'normal', position: 1, attempt: 1 })])
  })

  it('is an error for an id that is nowhere', async () => {
    const { code, stderr } = await project.troupe('inspect', 'nobody')
    expect(code).toBe(1)
    expect(stderr).toContain('expected a message with the id "nobody" in any mailbox')
  })
})

describe('troupe status', () => {
  it('shows systems and actors with what waits, runs, is parked and dead', async () => {
    const text = await done('status')
    expect(text).toMatch(/first +\S+ +\d+ +.* work/)
    expect(text).toMatch(/work +ok +4 +1 +1 +3 +1 +/)
    expect(await done('status', 'work', '--lanes')).toMatch(/work +normal +\d +\d +/)
    const { systems, actors } = JSON.parse(await done('status', '--json')) as { systems: object[]; actors: object[] }
    expect(systems).toEqual([expect.objectContaining({ system: 'first', stopping: false })])
    expect(actors).toEqual([
      expect.objectContaining({
        actor: 'work',
        state: 'ok',
        waiting: 4,
        running: 1,
        parked: 3,
        parkedRetries: 2,
        dead: 1,
      }),
    ])
    expect((await project.troupe('status', '--check')).code).toBe(0)
  })

  it('leaves out an actor that has no mailbox, and says so', async () => {
    expect((await project.troupe('status', 'wrk')).stderr).toContain('no actor has a mailbox yet')
  })
})

describe('troupe top', () => {
  it('goes on line by line as JSON, and asks for a terminal without it', async () => {
    expect((await project.troupe('top')).stderr).toContain('expected a terminal to draw in')
    const lines = project.background('top', 'work', '--every', '100ms', '--json')
    await lines.says('"actor":"work"', 3)
    lines.signal('SIGTERM')
    expect((await lines.ended).code).toBe(0)
  })

  it.skipIf(spawnSync('script', ['--version']).status !== 0)(
    'draws in a terminal, pauses by a key, and leaves it as it was',
    async () => {
      const terminal = project.terminal('top --every 100ms')
      await terminal.says('>  work')
      terminal.type('p')
      await terminal.says('paused')
      terminal.type('\r')
      await terminal.says('runs   running')
      terminal.type('p')
      await until(/work +ok /, 'status', 'work')
      terminal.type('q')
      const { stdout } = await terminal.ended
      expect(stdout).toContain('\u001B[?1049l')
    },
  )
})

describe('the mailbox', () => {
  it('is looked at, moved and purged from the command line, after a dry run', async () => {
    expect(await done('peek', 'work')).toMatch(/high +0 +high +work\.quick[^]*normal +held +running[^]*normal +0 +w1/)
    expect(await done('peek', 'work', '--limit', '1', '--lane', 'low')).toBe('')
    const dry = await project.troupe('move', 'work', '--id', 'w3', '--to-lane', 'low', '--dry-run')
    expect(dry.stderr).toContain('nothing was done: this would move 1 message')
    expect((await project.troupe('move', 'work', '--id', 'w3', '--to-lane', 'low')).code).toBe(2)
    expect(await done('move', 'work', '--id', 'w3', '--to-lane', 'low', '--yes')).toContain('moved 1 message')
    expect(await done('peek', 'work', '--lane', 'low')).toContain('w3')
    expect((await project.troupe('purge', 'work')).stderr).toContain('expected which messages to delete: a filter')
    expect(await done('purge', 'work', '--lane', 'low', '--yes')).toContain('deleted 1 message')
    const { stderr, code } = await project.troupe('peek', 'wrok')
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('did you mean "work"') as string })
  })
})

describe('troupe tail', () => {
  it('follows what happens, in words and as JSON, by filters, and ends after so many', async () => {
    const words = project.background('tail', 'work', '--event', 'dead', '--limit', '1')
    const lines = project.background('tail', '--json', '--id', 'told', '--limit', '1')
    await Promise.all([words.says('following'), lines.says('following')])
    await project.write('go', '')
    await send('die', 'other')
    await send('die', 'told')
    const [told, json] = await Promise.all([words.ended, lines.ended])
    expect(told.code).toBe(0)
    expect(told.stdout).toMatch(/^\S+ dead +work\.die {2}id=other attempt=1 .*reason=rejected/)
    expect(JSON.parse(json.stdout)).toMatchObject({
      of: 'work.die',
      event: 'dead',
      data: { id: 'told', reason: 'rejected' },
    })
  })
})

describe('troupe doctor', () => {
  it('finds all well, or says what is not and what to do', async () => {
    const text = await done('doctor', 'actors/work.ts')
    expect(text).toMatch(/ok +server +nats-server 2\./)
    expect(text).toMatch(/ok +clock/)
    expect(text).toMatch(/ok +streams +\d+ streams and consumers are as their definitions say/)
    expect(text).toMatch(/ok +stuck/)
    worker.signal('SIGTERM')
    await worker.ended
    await send('quick', 'unrun')
    const { code, stdout } = await project.troupe('doctor', '--json')
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toContainEqual(
      expect.objectContaining({
        level: 'error',
        check: 'actors',
        text: expect.stringContaining('no system runs it') as string,
      }),
    )
    expect((await project.troupe('status', '--check')).code).toBe(1)
  })

  it('finds a stream that is not as its definition says', async () => {
    await project.write(
      'actors/work.ts',
      work.replace('concurrency: 1,', "concurrency: 1, mailbox: { dedupeWindow: '10m' },"),
    )
    const { stdout } = await project.troupe('doctor', 'actors/work.ts')
    expect(stdout).toMatch(/warning +streams +stream troupe-mailbox-work differs: duplicate_window/)
  })
})
