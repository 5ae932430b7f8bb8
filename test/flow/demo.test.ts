import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { connect as connectNats } from '@nats-io/transport-node'
import { describe, expect, it } from 'vitest'

import { Tally } from '#actors/examples/tally.js'

import { eventually } from '../kit/system.ts'

const DEMO = join(process.cwd(), 'dist/actors/examples/demo.js')
const CLI = join(process.cwd(), 'dist/runtime/cli/main.js')

/** The demo in a folder of its own, as a process of its own. */
class Demo implements AsyncDisposable {
  readonly dir: string
  readonly #child: ChildProcess
  readonly exited: Promise<[code: number | null, signal: string | null]>
  output = ''

  constructor(dir: string, command: readonly string[]) {
    this.dir = dir
    this.#child = spawn(command[0] ?? '', command.slice(1), { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] })
    this.exited = once(this.#child, 'exit') as Promise<[number | null, string | null]>
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (text) => (this.output += String(text)))
  }

  static async start(...flags: string[]): Promise<Demo> {
    return new Demo(await mkdtemp(join(tmpdir(), 'troupe-demo-')), [process.execPath, DEMO, ...flags])
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async says(text: string | RegExp, count = 1): Promise<void> {
    const pattern = new RegExp(text, 'g')
    await eventually(`the demo says ${String(text)}`, () => (this.output.match(pattern) ?? []).length >= count, 20_000)
  }

  /** The numbers of its last line. */
  get sum(): Record<string, number> {
    const line = this.output.trim().split('\n').at(-1) ?? ''
    return Object.fromEntries([...line.matchAll(/(\w+) (\d+)/g)].map(([, name, count]) => [name, Number(count)]))
  }

  /** What the last run left in NATS. */
  async streams(): Promise<string[]> {
    return await readdir(join(this.dir, '.troupe/nats/jetstream/$G/streams')).catch(() => [])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await eventually('its nats-server has ended', () => !existsSync(join(this.dir, '.troupe/server.json')))
    await rm(this.dir, { recursive: true, force: true })
  }
}

describe('npm start', { timeout: 90_000 }, () => {
  it('is the demo', async () => {
    const { default: manifest } = await import('../../package.json', { with: { type: 'json' } })
    expect(manifest.scripts.start.endsWith('node dist/actors/examples/demo.js')).toBe(true)
  })

  it('stops by itself with code 0 after --for, when every kind of end was seen and nothing was lost', async () => {
    await using demo = await Demo.start('--for', '4s')
    const [code] = await demo.exited
    expect({ code, output: demo.output }).toMatchObject({ code: 0 })
    const { sent = 0, done = 0, retried = 0, dead = 0, lost } = demo.sum
    expect({ lost, ended: done + dead }).toEqual({ lost: 0, ended: sent })
    expect(sent).toBeGreaterThan(20)
    expect(retried).toBeGreaterThan(3)
    for (const seen of [
      'answered 503',
      'answered 429',
      'time limit',
      'in attempt 3',
      'answered 410',
      'none of my secrets',
      '500, after 4 attempts',
    ]) {
      expect(demo.output).toContain(seen)
    }
    expect(demo.output).toMatch(/[1-9]\d* repeats known by their webhook-id/)
    expect(await demo.streams()).toEqual([])
  })

  it('counts from zero each time', async () => {
    await using demo = await Demo.start('--for', '1s')
    await demo.exited
    const again = new Demo(demo.dir, [process.execPath, DEMO, '--for', '1s'])
    expect(await again.exited).toEqual([0, null])
    expect(again.sum['sent']).toBeLessThan(20)
  })

  it('takes one more from another terminal, by the commands that it prints, and sums up at Ctrl-C', async () => {
    await using demo = await Demo.start()
    await demo.says('Ctrl-C stops')
    const [, args = ''] = /npx troupe (send .*)/.exec(demo.output) ?? []
    const send = spawn('sh', ['-c', `"${process.execPath}" "${CLI}" ${args}`], { cwd: demo.dir, stdio: 'inherit' })
    expect(await once(send, 'exit')).toEqual([0, null])
    const [, servers = '', subject = '', payload = ''] = /nats pub --server (\S+) (\S+) '(.*)'/.exec(demo.output) ?? []
    const bare = await connectNats({ servers })
    bare.publish(subject, payload)
    await bare.drain()
    await demo.says('sent from another terminal', 2)
    demo.kill('SIGINT')
    expect(await demo.exited).toEqual([0, null])
    expect(demo.sum).toMatchObject({ lost: 0 })
  })

  it.runIf(process.platform !== 'win32')('does not go on when whoever started it is gone', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'troupe-demo-'))
    await using demo = new Demo(dir, ['sh', '-c', `"${process.execPath}" "${DEMO}"; exit $?`])
    await demo.says('Ctrl-C stops')
    demo.kill('SIGKILL')
    await demo.says('lost 0')
  })

  it('says what is wrong with its flags', async () => {
    await using demo = await Demo.start('--for', 'ever')
    expect(await demo.exited).toEqual([1, null])
    expect(demo.output).toMatch(/expected --for to be a duration/)
  })
})

const all = (): boolean => true

describe("the demo's count of what is lost", () => {
  const event = { actor: 'webhooks', message: 'deliver', attempt: 1, worker: 'w', at: '', durationMs: 1 }

  it('is what was sent and came to no end', () => {
    const tally = new Tally()
    for (const id of ['a', 'b', 'c']) tally.sent(id)
    tally.event('done', { ...event, id: 'a' })
    tally.event('dead', { ...event, id: 'b', reason: 'rejected', failure: { name: 'x', message: 'y' } })
    expect(tally.sum(all)).toMatchObject({ sent: 3, done: 1, dead: 1, lost: 1 })
  })

  it('is what is said to be done and was never received', () => {
    const tally = new Tally()
    tally.event('done', { ...event, id: 'a' })
    expect(tally.sum(() => false)).toMatchObject({ sent: 1, done: 1, lost: 1 })
  })

  it('takes a message that came twice for one', () => {
    const tally = new Tally()
    tally.sent('a')
    tally.event('retry', { ...event, id: 'a', afterMs: 1, failure: { name: 'x', message: 'y' } })
    tally.event('done', { ...event, id: 'a' })
    tally.event('done', { ...event, id: 'a' })
    expect(tally.sum(all)).toMatchObject({ sent: 1, done: 1, retried: 1, lost: 0 })
  })
})
