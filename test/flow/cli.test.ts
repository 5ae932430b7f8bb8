import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { makeProject, type Project, type Running } from '../kit/cli.ts'
import { startServer, type TestServer } from '../kit/server.ts'

const echo = `
  import { dead, defineActor, type Context } from 'troupe'
  enum Style { loud = 'loud' }
  export const echo = defineActor('echo', {
    retry: { attempts: 1 },
    messages: {
      say: async (payload: { text?: string }, ctx: Context) => ({ ...payload, style: Style.loud, header: ctx.headers['X-A'] }),
      fail: async () => { throw new TypeError('it broke') },
      heard: async (payload: { text: string }) => { console.log('heard ' + payload.text) },
      give: async () => dead('no use'),
    },
  })`

/** Its handler runs until a file is there, or until it is aborted. */
const slow = `
  import { existsSync } from 'node:fs'
  import { setTimeout as sleep } from 'node:timers/promises'
  import { defineActor, type Context } from 'troupe'
  export default defineActor('slow', {
    messages: {
      work: async (payload: { file: string }, ctx: Context) => {
        console.log('began attempt ' + ctx.attempt)
        ctx.signal.addEventListener('abort', () => console.log('aborted ' + ctx.signal.reason.code))
        while (!existsSync(payload.file)) await sleep(10, undefined, { signal: ctx.signal })
        return 'finished'
      },
    },
  })`

let server: TestServer
let project: Project
let worker: Running

beforeAll(async () => {
  server = await startServer()
  const files = { 'actors/echo.ts': echo, 'actors/slow.ts': slow, 'payload.json': '{"text":"from a file"}' }
  project = await makeProject({ files, env: { TROUPE_NATS_SERVERS: server.url, TROUPE_LOG_FORMAT: 'pretty' } })
  worker = project.background('start', 'actors/echo.ts')
  await worker.says('troupe send')
})

afterAll(async () => {
  await project?.[Symbol.asyncDispose]()
  await server?.stop()
})

describe('troupe start', () => {
  it('says what runs, where, and how to send one, and ends with 0 after a signal', async () => {
    const running = project.background('start', 'actors/echo.ts', '--namespace', 'told')
    await running.says('troupe send')
    running.signal('SIGTERM')
    const { code, stdout } = await running.ended
    expect(code).toBe(0)
    expect(stdout).toContain('echo (say, fail, heard, give)')
    expect(stdout).toContain(server.url.replace('nats://', ''))
    expect(stdout).toContain("npx troupe send echo.say '{}' --namespace told")
    expect(stdout).toContain("pub told.do.echo.say '{}'")
  })

  it('lets a running message finish at Ctrl-C, whose outcome another process gets', async () => {
    const running = project.background('start', 'actors/slow.ts', '--namespace', 'drain')
    await running.says('troupe send')
    const file = join(project.dir, 'drain.done')
    const sender = project.background('send', 'slow.work', JSON.stringify({ file }), '--namespace=drain', '--wait')
    await running.says('began')
    running.signal('SIGINT')
    await running.says('draining')
    await project.write('drain.done', '')
    expect(await running.ended).toMatchObject({ code: 0, stdout: expect.not.stringContaining('aborted') as string })
    expect(await sender.ended).toMatchObject({ code: 0, stdout: '"finished"\n' })
  })

  it('aborts at a second Ctrl-C: the message goes back uncounted, and the exit code tells', async () => {
    const running = project.background('start', 'actors/slow.ts', '--namespace', 'abort')
    await running.says('troupe send')
    const file = join(project.dir, 'abort.done')
    await project.troupe('send', 'slow.work', JSON.stringify({ file }), '--namespace=abort')
    await running.says('began attempt 1')
    running.signal('SIGINT')
    await running.says('draining')
    running.signal('SIGINT')
    expect(await running.ended).toMatchObject({
      code: 130,
      stdout: expect.stringContaining('aborted SHUTDOWN') as string,
    })
    const next = project.background('start', 'actors/slow.ts', '--namespace', 'abort')
    await next.says('began attempt 1')
    await project.write('abort.done', '')
    next.signal('SIGTERM')
    expect(await next.ended).toMatchObject({ code: 0 })
  })

  it('aborts live calls at a second Ctrl-C as well', async () => {
    const running = project.background('start', 'actors/slow.ts', '--namespace', 'live')
    await running.says('troupe send')
    const caller = project.background('call', 'slow.work', '{"file":"never"}', '--namespace=live')
    await running.says('began')
    running.signal('SIGTERM')
    await running.says('draining')
    running.signal('SIGTERM')
    expect(await running.ended).toMatchObject({
      code: 143,
      stdout: expect.stringContaining('aborted SHUTDOWN') as string,
    })
    expect((await caller.ended).code).not.toBe(0)
  })
})

describe('troupe send, ask and call', () => {
  it('store a message that a worker of another process handles, with the payload from a word, a file or stdin', async () => {
    const sent = await project.troupe('send', 'echo.heard', '{"text":"a word"}', '--id', 'a b/1', '--json')
    expect(JSON.parse(sent.stdout)).toEqual({ id: 'a b/1', actor: 'echo', message: 'heard', duplicate: false })
    await worker.says('heard a word')
    const again = await project.troupe('send', 'echo.heard', '{"text":"twice"}', '--id', 'a b/1')
    expect(again.stdout).toContain('sent before')
    const file = await project.troupe(
      'send',
      'echo.say',
      '@payload.json',
      '--wait',
      '--header',
      'X-A=1=2',
      '--delay',
      '50ms',
    )
    expect(JSON.parse(file.stdout)).toEqual({ text: 'from a file', style: 'loud', header: '1=2' })
    const piped = await project.piped('{"text":"piped"}', 'ask', 'echo.say', '-', '--json', '--format', 'msgpack')
    expect(JSON.parse(piped.stdout)).toMatchObject({ text: 'piped' })
    const called = await project.troupe('call', 'echo.say', '{"text":"live"}')
    expect(JSON.parse(called.stdout)).toMatchObject({ text: 'live' })
    const told = await project.troupe('broadcast', 'echo.heard', '{"text":"all"}')
    expect(told.code).toBe(0)
    await worker.says('heard all')
  })

  it("end with 3 and the handler's error where the message died", async () => {
    const asked = await project.troupe('ask', 'echo.fail')
    expect(asked).toMatchObject({
      code: 3,
      stdout: '',
      stderr: expect.stringMatching(/^troupe: .*TypeError: it broke\n$/) as string,
    })
    const waited = await project.troupe('send', 'echo.give', '--wait', '--json')
    expect(waited.code).toBe(3)
    expect(JSON.parse(waited.stderr)).toMatchObject({ error: { code: 'DEAD', failure: { message: 'no use' } } })
    expect(await project.troupe('call', 'echo.fail')).toMatchObject({ code: 3 })
  })

  it('end with 4 where no outcome comes in time', async () => {
    const asked = await project.troupe('ask', 'echo.say', '--delay', '1h', '--timeout', '50ms')
    expect(asked).toMatchObject({ code: 4, stderr: expect.stringContaining('within 50 ms') as string })
  })

  it('say which actor was meant', async () => {
    const sent = await project.troupe('send', 'ehco.say', '{}')
    expect(sent).toMatchObject({ code: 1, stderr: expect.stringContaining('did you mean "echo"?') as string })
    const cancelled = await project.troupe('cancel', 'ehco', 'x', '--timeout', '50ms')
    expect(cancelled).toMatchObject({ code: 1, stderr: expect.stringContaining('did you mean "echo"?') as string })
  })
})

describe('troupe cancel', () => {
  it('says what it met', async () => {
    await project.troupe('send', 'echo.say', '{}', '--id', 'later', '--delay', '1h')
    const parked = await project.troupe('cancel', 'echo', 'later', '--json')
    expect(JSON.parse(parked.stdout)).toMatchObject({ was: 'parked', id: 'later' })
    await project.troupe('send', 'echo.say', '{}', '--id', 'anywhere', '--delay', '1h')
    // It takes a moment until it is parked; before that a cancel by id may meet nothing, and is stored all the same.
    await expect
      .poll(async () => (await project.troupe('inspect', 'anywhere')).stdout, { timeout: 10_000 })
      .toContain('is parked')
    const anywhere = await project.troupe('cancel', 'anywhere', '--json')
    expect(JSON.parse(anywhere.stdout)).toMatchObject({ actor: 'echo', id: 'anywhere', was: 'parked' })
    const none = await project.troupe('cancel', 'echo', 'nobody', '--timeout', '50ms')
    expect(none).toMatchObject({ code: 0, stdout: expect.stringContaining('no worker met') as string })
    expect(await project.troupe('cancel', 'echo')).toMatchObject({ code: 2 })
  })
})

describe("the project's own server", () => {
  it('is found by every command of the project, and ends after the last', async () => {
    await using own = await makeProject({
      files: { 'actors/echo.ts': echo, 'troupe.config.json': '{"actors":"actors/echo.ts"}' },
    })
    const alone = own.background('server', '--json')
    await alone.says('"url"')
    const running = own.background('start', '--json')
    await running.says('"actors"')
    const asked = await own.troupe('ask', 'echo.say', '{"text":"here"}')
    expect(JSON.parse(asked.stdout)).toMatchObject({ text: 'here' })
    running.signal('SIGINT')
    alone.signal('SIGINT')
    const [started, served] = await Promise.all([running.ended, alone.ended])
    expect([started.code, served.code]).toEqual([0, 0])
    const { url, dir } = JSON.parse(served.stdout) as { url: string; dir: string }
    expect(JSON.parse(started.stdout)).toMatchObject({ server: url.replace('nats://', ''), namespace: 'troupe' })
    expect(existsSync(join(dir, 'server.json'))).toBe(true)
  })
})
