/** Systems that end by themselves: `run({ until })` and `troupe start --until-empty, --max-messages, --max-idle`. */
import { defineActor, retry, run, snooze, type AnyActor, type RunOptions, type System } from 'troupe'
import { describe, expect, it } from 'vitest'

import { makeProject } from '../kit/cli.ts'
import { rejection, serverOfFile, testBundle } from '../kit/system.ts'

const lines = (name: string): { actor: ReturnType<typeof counting>; ran: number[] } => {
  const ran: number[] = []
  return { actor: counting(name, ran), ran }
}

function counting(name: string, ran: number[]) {
  return defineActor(name, {
    concurrency: 5,
    messages: {
      count: async ({ n }: { n: number }) => void ran.push(n),
      once: async ({ n }: { n: number }, ctx) => {
        ran.push(n)
        return ctx.attempt === 1 ? retry({ after: 50 }) : undefined
      },
      later: async ({ n }: { n: number }) => {
        ran.push(n)
        return snooze('1h')
      },
    },
  })
}

async function start(
  namespace: string,
  actors: readonly AnyActor[],
  until: NonNullable<RunOptions['until']>,
): Promise<System> {
  const { url } = await serverOfFile()
  return run({ servers: url, namespace, actors, until, signals: false, logLevel: 'silent', grace: '500ms' })
}

const numbers = (count: number): { n: number }[] => Array.from({ length: count }, (_, n) => ({ n }))

describe('a system that is told when to end', () => {
  it('ends when its mailboxes are empty, and has run all, also a retry that is due at once', async () => {
    await using t = await testBundle()
    const { actor, ran } = lines('emptied')
    await t.troupe.sendMany(actor.count, numbers(300))
    await t.troupe.send(actor.once, { n: 1000 })
    const system = await start(t.namespace, [actor], { empty: true })
    await system.stopped
    expect(ran.filter((n) => n < 1000).toSorted((a, b) => a - b)).toEqual(numbers(300).map(({ n }) => n))
    expect(ran.filter((n) => n === 1000)).toHaveLength(2)
  })

  it('leaves what is parked for later to whoever runs then', async () => {
    await using t = await testBundle()
    const { actor, ran } = lines('parked')
    await t.troupe.send(actor.later, { n: 1 })
    await t.troupe.send(actor.count, { n: 2 }, { delay: '1h' })
    const system = await start(t.namespace, [actor], { empty: true })
    await system.stopped
    expect(ran).toEqual([1])
  })

  it('ends after so many messages and begins none beyond; the rest is run by the next, once', async () => {
    await using t = await testBundle()
    const { actor, ran } = lines('limited')
    await t.troupe.sendMany(actor.count, numbers(100))
    const first = await start(t.namespace, [actor], { messages: 37 })
    await first.stopped
    expect(ran).toHaveLength(37)
    const second = await start(t.namespace, [actor], { empty: true })
    await second.stopped
    expect(ran.toSorted((a, b) => a - b)).toEqual(numbers(100).map(({ n }) => n))
  })

  it('ends after so long without work, and not while a message runs longer than that', async () => {
    await using t = await testBundle()
    let isOver = false
    const actor = defineActor('idler', {
      messages: {
        // Longer than the idle time: that is the question here.
        work: async () => {
          await new Promise((resolve) => setTimeout(resolve, 900))
          isOver = true
        },
      },
    })
    await t.troupe.send(actor.work, {})
    const system = await start(t.namespace, [actor], { idle: '300ms' })
    await system.stopped
    expect(isOver).toBe(true)
  })

  it.each([
    [{ messages: 0 }, /until\.messages to be a whole number from 1, got: 0/],
    [{ idle: 'soon' }, /until\.idle/],
    [{ emty: true }, /until\.emty to be one of empty, messages, idle, did you mean "empty"/],
  ])('refuses %j', async (until, text) => {
    const { actor } = lines('refused')
    const error = await rejection(start('refused', [actor], until as never))
    expect(error.message).toMatch(text)
    expect(error['code']).toMatch(/INVALID_OPTION|INVALID_DURATION/)
  })
})

describe('troupe start', () => {
  const files = {
    'actors/echo.ts': `
      import { defineActor } from 'troupe'
      export const echo = defineActor('echo', { messages: { say: async (p: { n: number }) => { console.log('said ' + p.n) } } })`,
  }

  it('--until-empty runs what waits and ends with 0', async () => {
    const { url } = await serverOfFile()
    await using project = await makeProject({ files, env: { TROUPE_NATS_SERVERS: url, TROUPE_NAMESPACE: 'cliEmpty' } })
    // The mailbox is made by the first worker.
    expect((await project.troupe('start', 'actors/echo.ts', '--until-empty')).code).toBe(0)
    for (const n of [1, 2, 3]) await project.troupe('send', 'echo.say', `{"n":${n}}`)
    const { code, stdout } = await project.troupe('start', 'actors/echo.ts', '--max-messages', '2')
    expect(code).toBe(0)
    expect(stdout.match(/said \d/g)).toHaveLength(2)
    const last = await project.troupe('start', 'actors/echo.ts', '--max-idle', '300ms')
    expect(last.code).toBe(0)
    expect(last.stdout.match(/said \d/g)).toHaveLength(1)
    const wrong = await project.troupe('start', 'actors/echo.ts', '--max-messages', 'many')
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toMatch(/a whole number from 1/)
  })
})
