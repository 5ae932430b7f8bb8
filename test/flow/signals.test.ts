import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { actorRef, connect, defineActor, run } from 'troupe'
import { describe, expect, it } from 'vitest'

import { freePort, startServer } from '../kit/server.ts'
import { eventually, serverOfFile, testBundle } from '../kit/system.ts'

/** A process that runs one actor and prints a line for each thing that happens. */
class Child implements AsyncDisposable {
  readonly process: ChildProcess
  readonly lines: string[] = []
  readonly #dir: string
  #heard = (): void => {}

  constructor(process: ChildProcess, dir: string) {
    this.process = process
    this.#dir = dir
    createInterface({ input: process.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.lines.push(line)
      this.#heard()
    })
  }

  async line(text: string): Promise<void> {
    while (!this.lines.includes(text)) await new Promise<void>((resolve) => (this.#heard = resolve))
  }

  async exit(): Promise<[code: number | null, signal: NodeJS.Signals | null]> {
    const { exitCode, signalCode } = this.process
    if (exitCode !== null || signalCode !== null) return [exitCode, signalCode]
    return (await once(this.process, 'exit')) as [number | null, NodeJS.Signals | null]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill('SIGKILL')
    await this.exit()
    await rm(this.#dir, { recursive: true, force: true })
  }
}

async function startChild(namespace: string, url: string): Promise<Child> {
  const code = `
    import { defineActor, run } from ${JSON.stringify(join(process.cwd(), 'dist/runtime/index.js'))}
    const actor = defineActor('slow', { messages: {
      finishes: async () => { console.log('begun'); await new Promise((resolve) => setTimeout(resolve, 300)); console.log('finished') },
      hangs: (_payload, ctx) => new Promise((_resolve, reject) => {
        console.log('begun')
        const looking = setInterval(() => { if (ctx.stopping) { console.log('draining'); clearInterval(looking) } }, 5)
        ctx.signal.addEventListener('abort', () => { console.log('aborted: ' + ctx.signal.reason.why); reject(ctx.signal.reason) })
      }),
    } })
    const system = await run({ actors: [actor], servers: ${JSON.stringify(url)}, namespace: '${namespace}', logLevel: 'silent' })
    system.stopped.then(() => console.log('stopped'))
    console.log('ready')`
  const dir = await mkdtemp(join(tmpdir(), 'troupe-test-'))
  const args = ['--input-type=module', '-e', code]
  const child = new Child(spawn(process.execPath, args, { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] }), dir)
  await child.line('ready')
  return child
}

describe('a process that runs a system', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('drains at %s and ends with 0', async (signal) => {
    const { url } = await serverOfFile()
    await using child = await startChild(`drain${signal}`, url)
    await using troupe = await connect({ servers: url, namespace: `drain${signal}` })
    const sent = await troupe.send(actorRef('slow')['finishes'] as never, {} as never, { keep: '1m' })
    await child.line('begun')
    child.process.kill(signal)
    expect(await child.exit()).toEqual([0, null])
    expect(child.lines).toEqual(['ready', 'begun', 'finished', 'stopped'])
    await sent.result()
  })

  it('aborts what still runs at the second signal, ends soon with its code, and gives its message back', async () => {
    const { url } = await serverOfFile()
    await using child = await startChild('twice', url)
    await using troupe = await connect({ servers: url, namespace: 'twice' })
    await troupe.send(actorRef('slow')['hangs'] as never, {} as never)
    await child.line('begun')
    const before = performance.now()
    child.process.kill('SIGTERM')
    await child.line('draining')
    child.process.kill('SIGINT')
    // 128 and the signal's number: not all that was begun was finished.
    expect(await child.exit()).toEqual([130, null])
    expect(child.lines).toEqual(['ready', 'begun', 'draining', 'aborted: shutdown', 'stopped'])
    // Not after the 30 seconds that the first signal would have given it.
    expect(performance.now() - before).toBeLessThan(10_000)
    // Given back, so long before its lease is over, and as the same attempt.
    const slow = defineActor('slow', { messages: { finishes: () => {}, hangs: () => {} } })
    await using t = await testBundle({ actors: [slow], namespace: 'twice' })
    expect(await t.events.wait('done', { timeoutMs: 5_000 })).toMatchObject({ message: 'hangs', attempt: 1 })
  })
})

describe('a system that is told to stop while it starts', () => {
  const idle = defineActor('idle', { messages: { go: () => {} } })

  it.each([10, 30, 60, 90])('after %i ms leaves no connection behind', async (ms) => {
    const monitor = await freePort()
    await using server = await startServer({ conf: `http: 127.0.0.1:${monitor}` })
    setTimeout(() => process.emit('SIGTERM', 'SIGTERM'), ms)
    const system = await run({ servers: server.url, logLevel: 'silent', actors: [idle] }).catch(() => undefined)
    // The signal may have come before anybody listened, or after all was up.
    await system?.stop()
    await eventually('nobody is connected', async () => {
      const answer = await fetch(`http://127.0.0.1:${monitor}/connz`)
      return ((await answer.json()) as { num_connections: number }).num_connections === 0
    })
  })
})
