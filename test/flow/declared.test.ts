/** Schedules that are declared in code: put at start, changed in place, never over what was edited by hand. */
import { defineActor, type OwnSchedule, type ScheduleInput } from 'troupe'
import { describe, expect, it } from 'vitest'

import { makeProject } from '../kit/cli.ts'
import { eventually, serverOfFile, testBundle, type Bundle } from '../kit/system.ts'

function mailer(schedules: Record<string, OwnSchedule> = {}) {
  return defineActor('mailer', {
    schedules,
    messages: { digest: ({ list }: { list: string }) => list },
  })
}

const nightly = { cron: '0 3 * * *', send: 'digest', payload: { list: 'all' } } as const

interface News {
  readonly schedule: string
  readonly what: string
  readonly detail: string
}

/** What is told of schedules from now on. */
async function news(t: Bundle): Promise<News[]> {
  const heard: News[] = []
  t.troupe.connection.subscribe(`${t.namespace}.event.system.*.schedule`, {
    callback: (_error, msg) => void heard.push(msg.json()),
  })
  await t.troupe.connection.flush()
  return heard
}

describe('a schedule that an actor declares', () => {
  it('is put when a system starts, once by any number of them', async () => {
    await using t = await testBundle()
    await Promise.all([1, 2, 3].map(() => t.another([mailer({ nightly })])))
    const all = await t.troupe.schedules.list()
    expect(all).toMatchObject([{ id: 'nightly', actor: 'mailer', generation: 1, declared: 'actor', isEdited: false }])
    expect(all[0]?.definition?.send).toEqual({ actor: 'mailer', message: 'digest', payload: { list: 'all' } })
  })

  it('is changed in place when the code has changed', async () => {
    await using t = await testBundle()
    await t.another([mailer({ nightly })])
    await t.another([mailer({ nightly: { ...nightly, cron: '0 4 * * *' } })])
    const schedule = await t.troupe.schedules.get('nightly')
    expect(schedule).toMatchObject({ generation: 2, isEdited: false })
    expect(schedule.definition?.rule).toMatchObject({ cron: '0 4 * * *' })
  })

  it('that was edited by hand is left as it is, and the difference is told', async () => {
    await using t = await testBundle()
    await t.another([mailer({ nightly })])
    const live = { ...nightly, send: 'mailer.digest', cron: '0 5 * * *' } as const
    await t.troupe.schedules.put('nightly', live)
    expect(await t.troupe.schedules.get('nightly')).toMatchObject({ isEdited: true, declared: 'actor' })
    const heard = await news(t)
    await t.another([mailer({ nightly })])
    await t.another([mailer({ nightly: { ...nightly, cron: '0 4 * * *' } })])
    await eventually('it is told twice', () => heard.length === 2)
    expect(heard[0]).toMatchObject({ schedule: 'nightly', what: 'edited' })
    expect(heard[0]?.detail).toMatch(/^rule: .*0 3 \* \* \*.* in the code, .*0 5 \* \* \*.* stored$/)
    expect((await t.troupe.schedules.get('nightly')).definition?.rule).toMatchObject({ cron: '0 5 * * *' })
    // Whoever edits it back, or edits the code to what is stored, has no difference any more.
    await t.another([mailer({ nightly: { ...nightly, cron: '0 5 * * *' } })])
    expect(await t.troupe.schedules.get('nightly')).toMatchObject({ isEdited: false })
    expect(heard).toHaveLength(2)
  })

  it('that was paused by hand stays so when the code has changed', async () => {
    await using t = await testBundle()
    await t.another([mailer({ nightly })])
    await t.troupe.schedules.pause('nightly', { note: 'the list moves' })
    await t.another([mailer({ nightly: { ...nightly, note: 'new' } })])
    expect(await t.troupe.schedules.get('nightly')).toMatchObject({
      state: 'paused',
      paused: { note: 'the list moves' },
      definition: { note: 'new' },
    })
  })

  it('and is declared no more goes on, and that is told', async () => {
    await using t = await testBundle()
    await t.another([mailer({ nightly })])
    const heard = await news(t)
    await t.another([mailer()])
    await eventually('it is told', () => heard.length === 1)
    expect(heard[0]).toMatchObject({ schedule: 'nightly', what: 'undeclared' })
    expect(await t.troupe.schedules.get('nightly')).toMatchObject({ state: 'active' })
  })

  it('and is wrong keeps the system from starting, with what is wrong and where', async () => {
    await using t = await testBundle()
    await expect(t.another([mailer({ nightly: { ...nightly, cron: '0 3' } })])).rejects.toMatchObject({
      code: 'INVALID_SCHEDULE',
      message: expect.stringMatching(/schedules\.nightly\.cron/) as unknown,
    })
    await expect(t.another([mailer({ nightly: { ...nightly, send: 'digst' } })])).rejects.toMatchObject({
      code: 'UNKNOWN_MESSAGE',
    })
  })
})

describe('a schedule that the configuration declares', () => {
  it('is put by the systems that run its actor, and by no other', async () => {
    await using t = await testBundle()
    const own = mailer()
    const schedules: Record<string, ScheduleInput> = {
      bound: { every: '1h', send: own.digest.with({ list: 'few' }) },
      named: { every: '2h', send: 'mailer.digest', payload: { list: 'all' } },
      other: { every: '3h', send: 'stranger.hello' },
    }
    await t.another([own], { schedules })
    const all = await t.troupe.schedules.list()
    expect(all.map(({ id, declared }) => `${id} ${declared}`)).toEqual(['bound config', 'named config'])
    expect(all[0]?.definition?.send).toEqual({ actor: 'mailer', message: 'digest', payload: { list: 'few' } })
  })
})

describe('troupe deploy', () => {
  it(
    'puts what is declared, shows what was edited or is gone, and prunes and overwrites only when it is told to',
    { timeout: 60_000 },
    async () => {
      const server = await serverOfFile()
      const actor = (cron: string): string => `
      import { defineActor } from 'troupe'
      export const mailer = defineActor('mailer', {
        schedules: { nightly: { cron: '${cron}', send: 'digest' } },
        messages: { digest: () => {} },
      })`
      const config = (schedules: string): string =>
        `export default { actors: ['mailer.ts'], namespace: 'deployed', nats: { servers: '${server.url}' }, schedules: ${schedules} }`
      await using project = await makeProject({
        files: {
          'mailer.ts': actor('0 3 * * *'),
          'troupe.config.ts': config(`{ hourly: { every: '1h', send: 'mailer.digest' } }`),
        },
      })
      const deploy = async (...flags: string[]): Promise<{ code: number | string; states: string[] }> => {
        const { code, stdout } = await project.troupe('deploy', '--json', ...flags)
        const { schedules } = JSON.parse(stdout) as { schedules: { id: string; state: string }[] }
        return { code, states: schedules.map(({ id, state }) => `${id} ${state}`).toSorted() }
      }
      expect(await deploy('--dry-run')).toEqual({ code: 0, states: ['hourly created', 'nightly created'] })
      expect(await deploy()).toEqual({ code: 0, states: ['hourly created', 'nightly created'] })
      expect(await deploy()).toEqual({ code: 0, states: ['hourly same', 'nightly same'] })

      await project.write('mailer.ts', actor('0 4 * * *'))
      await project.write('troupe.config.ts', config('{}'))
      expect(await deploy()).toEqual({ code: 0, states: ['hourly undeclared', 'nightly changed'] })
      expect(await deploy('--prune')).toEqual({ code: 0, states: ['hourly pruned', 'nightly same'] })

      await using t = await testBundle({ namespace: 'deployed' })
      await t.troupe.schedules.put('nightly', { cron: '0 5 * * *', send: 'mailer.digest' })
      const { code, stdout } = await project.troupe('deploy')
      expect(code).toBe(1)
      expect(stdout).toContain('nightly: edited by hand, and left as it is')
      expect(await deploy('--overwrite')).toEqual({ code: 0, states: ['nightly overwritten'] })
      const [nightly] = await t.troupe.schedules.list()
      expect(nightly).toMatchObject({ isEdited: false, definition: { rule: { cron: '0 4 * * *' } } })
    },
  )
})
