/** `troupe schedules …` as real processes: each command, what it prints for people and for programs, and what it refuses. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { connect, type ScheduleRule, type Troupe } from 'troupe'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { makeProject, type Ended, type Project, type Running } from '../kit/cli.ts'
import { startServer, type TestServer } from '../kit/server.ts'

const keeper = `
  import { defineActor } from 'troupe'
  export const keeper = defineActor('keeper', {
    retry: { attempts: 1 },
    messages: {
      tick: async (payload: { list?: string }, ctx) => {
        console.log('ticked ' + ctx.schedule?.id + ' ' + ctx.schedule?.by)
        return { list: payload.list ?? 'none' }
      },
      fail: async () => { throw Object.assign(new Error('broken\\n\\u001B[31m'), { code: 'E_BROKEN' }) },
    },
  })`

let server: TestServer
let project: Project
let worker: Running
/** For what a test only needs to be there. */
let troupe: Troupe

beforeAll(async () => {
  server = await startServer()
  project = await makeProject({ files: { 'keeper.ts': keeper }, env: { TROUPE_NATS_SERVERS: server.url } })
  worker = project.background('start', 'keeper.ts')
  await worker.says('troupe send')
  troupe = await connect({ servers: server.url })
})

afterAll(async () => {
  await troupe?.close()
  await project?.[Symbol.asyncDispose]()
  await server?.stop()
})

const schedules = (...args: string[]): Promise<Ended> => project.troupe('schedules', ...args)

const given = (id: string, rule: ScheduleRule, send = 'keeper.tick'): Promise<unknown> =>
  troupe.schedules.put(id, { ...rule, send, payload: { list: 'few' } })

/** What a command that has to succeed prints with --json. */
async function data<T = Record<string, unknown>>(...args: string[]): Promise<T> {
  const ended = await schedules(...args, '--json')
  expect(ended).toMatchObject({ code: 0, stderr: '' })
  return JSON.parse(ended.stdout) as T
}

describe('troupe schedules put, ls, show', () => {
  it('creates, says so, and changes nothing when it is put again', async () => {
    const put = ['put', 'daily-digest', 'keeper.tick', '{"list":"all","apiToken":"hush"}'].concat(
      ['--cron', '0 8 * * mon-fri', '--time-zone', 'Europe/Paris', '--overlap', 'bufferOne', '--jitter', '30s'],
      ['--catch-up', 'all', '--catch-up-within', '2h', '--catch-up-pace', '5s', '--limit', '100'],
      ['--except', '12-25,2027-04-05', '--lane', 'low', '--expires', '1h', '--retry-attempts', '3'],
      ['--header', 'X-Kind=digest', '--pause-on-failure', '--lost-after', '6h', '--note', 'owned by growth'],
    )
    const first = await schedules(...put)
    expect(first.stdout).toMatch(
      /^created daily-digest: at 08:00, Monday to Friday, Europe\/Paris, except on 25 December and 5 April 2027 \(next at \d{4}-[^)]*T0[67]:00:00Z\)\n$/,
    )
    expect((await schedules(...put)).stdout).toMatch(/^nothing to change in daily-digest/)
    expect((await schedules(...put, '--generation', '7')).code).toBe(4)
    const { definition } = await data<{ definition: unknown }>('show', 'daily-digest', '--reveal')
    expect(definition).toEqual({
      rule: {
        cron: '0 8 * * mon-fri',
        timeZone: 'Europe/Paris',
        dst: 'once',
        except: { or: [{ dates: ['12-25', '2027-04-05'] }] },
      },
      send: {
        actor: 'keeper',
        message: 'tick',
        payload: { list: 'all', apiToken: 'hush' },
        options: { lane: 'low', expires: '1h', headers: { 'X-Kind': 'digest' }, retry: { attempts: 3 } },
      },
      overlap: 'bufferOne',
      catchUp: { policy: 'all', within: '2h', pace: '5s' },
      jitter: '30s',
      limit: 100,
      pauseOnFailure: true,
      lostAfter: '6h',
      note: 'owned by growth',
    })
  })

  it('shows one with its rule in words, ten times with offsets, and hides secrets', async () => {
    const { stdout, code } = await schedules('show', 'daily-digest')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^id +daily-digest\nstate +active, next at /)
    expect(stdout).toContain('at 08:00, Monday to Friday, Europe/Paris, except on 25 December and 5 April 2027\n')
    expect(stdout).toMatch(/\nsends +keeper.tick\n/)
    expect(stdout).toMatch(/\npayload +\{"list":"all","apiToken":"\[hidden\]"\}\n/)
    expect(stdout).toMatch(/\ncatch-up +all, within 2h, one each 5s\n/)
    expect(stdout).toMatch(/\ncounts +sent 0, skipped 0, missed 0, failed 0\n/)
    expect(stdout).toMatch(/\nNext\nLOCAL +UTC +JITTER\n/)
    expect(stdout.match(/\n(Mon|Tue|Wed|Thu|Fri) \d{4}-\d\d-\d\d 08:00:00 \+0[12]:00 +\S+Z +\+\S+s?/g)).toHaveLength(10)
    expect(stdout).not.toContain('hush')
  })

  it('lists them in order, by actor and by state', async () => {
    await schedules('put', 'a-report', 'keeper.tick', '--calendar', '{"dayOfMonth":-1,"at":"23:30"}')
    const { stdout } = await schedules('ls')
    expect(stdout).toMatch(
      /^ID +SENDS +STATE +NEXT +LAST +SENT +SKIPPED +MISSED +RULE\na-report +keeper.tick +active +/,
    )
    expect(stdout).toContain('at 23:30, on the last day of the month, UTC')
    expect((await data<object[]>('ls', '--actor', 'keeper')).length).toBeGreaterThanOrEqual(2)
    expect(await data('ls', '--state', 'broken')).toEqual([])
    expect(await schedules('ls', '--state', 'broken')).toMatchObject({ stdout: '', stderr: 'no schedule matches\n' })
    expect(await schedules('ls', '--namespace', 'empty')).toMatchObject({ code: 0, stderr: 'there is no schedule\n' })
  })
})

describe('troupe schedules pause and resume', () => {
  it('plans nothing until it is resumed, and shows why', async () => {
    await given('nightly', { cron: '@daily' })
    expect((await schedules('pause', 'nightly', '--note', 'the store moves')).stdout).toBe('paused nightly\n')
    expect((await schedules('show', 'nightly')).stdout).toMatch(/\npaused +since \S+Z, the store moves\n/)
    expect(await data<object[]>('ls', '--state', 'paused')).toMatchObject([{ id: 'nightly' }])
    expect((await schedules('resume', 'nightly')).stdout).toMatch(/^resumed nightly: next at \S+T00:00:00Z\n$/)
    expect(await data('show', 'nightly')).toMatchObject({ state: 'active' })
  })
})

describe('troupe schedules trigger, history, backfill', () => {
  it('runs one now, and tells what became of it', async () => {
    await given('by-hand', { cron: '@yearly' })
    expect(await data('trigger', 'by-hand')).toMatchObject({ id: 'by-hand' })
    await worker.says('ticked by-hand trigger')
    expect((await schedules('trigger', 'by-hand', '--overlap', 'allow')).stdout).toBe('asked for a run of by-hand\n')
    await worker.says('ticked by-hand trigger', 2)
    // The second is sent when the account of the first has ended: with the policy "skip" it would be skipped otherwise.
    const { stdout } = await schedules('history', 'by-hand')
    expect(stdout).toMatch(/^PLANNED +BY +STATE +OUTCOME +DURATION +ATTEMPTS +LATE +WHY\n/)
    expect(stdout).toMatch(/trigger +ended +done +\d+m?s +1 +\S+ +\{"list":"few"\}\n/)
    expect(await data<object[]>('history', 'by-hand', '--limit', '1', '--since', '1h')).toHaveLength(1)
    expect(await data('history', 'by-hand', '--until', '1h')).toEqual([])
  })

  it('counts what failed, with its error on one line', async () => {
    await given('fragile', { cron: '@yearly' }, 'keeper.fail')
    await troupe.schedules.trigger('fragile')
    const shown = await until(
      () => schedules('show', 'fragile'),
      ({ stdout }) => stdout.includes('failed 1 of the last 1'),
    )
    expect(shown.stdout).toMatch(/trigger +ended +dead +.*Error: broken\\u000a\\u001b\[31m/)
    expect(shown.stdout).not.toContain('\u001B')
  })

  it('sends what was planned in a past range, after a dry run', async () => {
    await given('tokyo', { cron: '@daily', timeZone: 'Asia/Tokyo' })
    const range = ['--from', '2026-01-01T00:00:00Z', '--until', '2026-01-04T00:00:00Z']
    const times = ['2026-01-01T15:00:00Z', '2026-01-02T15:00:00Z', '2026-01-03T15:00:00Z']
    expect(await data('backfill', 'tokyo', ...range, '--dry-run')).toEqual({ dryRun: true, times })
    expect((await schedules('backfill', 'tokyo', ...range, '--dry-run')).stdout).toContain(
      'Fri 2026-01-02 00:00:00 +09:00',
    )
    const { stdout } = await schedules('backfill', 'tokyo', ...range, '--pace', '50ms')
    expect(stdout).toBe('backfilling tokyo from 2026-01-01T00:00:00Z until 2026-01-04T00:00:00Z\n')
    await worker.says('ticked tokyo backfill', 3)
    const runs = await data<{ planned: string }[]>('history', 'tokyo', '--until', '2026-01-05T00:00:00Z')
    expect(runs.map(({ planned }) => planned.replace('.000', '')).toSorted()).toEqual(times)
  })
})

describe('troupe schedules export and import', () => {
  it('carries all definitions from one place to another', async () => {
    await given('carried', { every: '15m', anchor: '2027-01-01T00:07:00Z' })
    const exported = await schedules('export')
    const all = JSON.parse(exported.stdout) as { schedules: Record<string, unknown> }
    expect(Object.keys(all.schedules)).toContain('carried')
    await project.write('all.json', exported.stdout)
    expect(await readFile(join(project.dir, 'all.json'), 'utf8')).toContain('"version": 1')

    await troupe.schedules.remove('carried')
    const imported = await schedules('import', 'all.json')
    expect(imported.stdout).toMatch(/created carried: every 15 minutes, counted from 2027-01-01T00:07:00Z/)
    expect(imported.stdout).toContain('nothing to change in daily-digest')
    const piped = await project.piped(exported.stdout, 'schedules', 'import', '-', '--json')
    expect((JSON.parse(piped.stdout) as { was: string }[]).every(({ was }) => was === 'same')).toBe(true)
    expect(JSON.parse((await schedules('export', '--json')).stdout)).toEqual(all)
  })
})

describe('troupe schedules rm', () => {
  it('removes what is named, unless it is a dry run or one is not there', async () => {
    for (const id of ['one', 'two']) await given(id, { every: '1h' })
    expect(await schedules('rm', 'one', '--dry-run')).toMatchObject({ code: 0, stderr: 'nothing was done\n' })
    expect(await schedules('rm', 'one', 'thre')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('"thre"') as string,
    })
    expect(await data<object[]>('ls')).toEqual(expect.arrayContaining([expect.objectContaining({ id: 'one' })]))
    expect(await data('rm', 'one', 'two')).toMatchObject({ dryRun: false, removed: 2 })
    expect(await schedules('show', 'one')).toMatchObject({ code: 1 })
  })

  it('removes one that is broken, which is listed with its reason and stops no other', async () => {
    await given('mangled', { every: '1h' })
    const record = '{"definition":{"rule":{"cron":"0 25 * * *"}}}'
    await troupe.connection.request('$KV.troupe-schedules-keeper.mangled', record)
    const { stdout } = await schedules('ls')
    expect(stdout).toMatch(/\nmangled +keeper\.\? +broken +- .*the hour field/)
    expect((await schedules('show', 'mangled')).stdout).toMatch(/\nproblem +.*the hour field/)
    expect(await schedules('pause', 'mangled')).toMatchObject({ code: 2 })
    expect(await schedules('rm', 'mangled', '--yes')).toMatchObject({ code: 0 })
  })
})

describe('what is refused', () => {
  it.each([
    ['a rule that is wrong', ['put', 'x', 'keeper.tick', '--cron', '0 25 * * *'], 'the hour field of schedules.x.cron'],
    ['a rule that is never true', ['put', 'x', 'keeper.tick', '--cron', '0 0 30 2 *'], 'never is'],
    ['no rule at all', ['put', 'x', 'keeper.tick'], 'exactly one of cron'],
    ['two rules', ['put', 'x', 'keeper.tick', '--cron', '@daily', '--every', '1h'], 'got: cron and every'],
    [
      'an unknown zone',
      ['put', 'x', 'keeper.tick', '--cron', '@daily', '--time-zone', 'Europe/Pariss'],
      'an IANA time zone',
    ],
    [
      'from after until',
      ['put', 'x', 'keeper.tick', '--every', '1h', '--from', '2030-01-01T00:00:00Z', '--until', '2029-01-01T00:00:00Z'],
      'to be before',
    ],
    [
      'a limit of 0',
      ['put', 'x', 'keeper.tick', '--every', '1h', '--limit', '0'],
      'expected --limit to be a whole number from 1',
    ],
    [
      'an overlap that is none',
      ['put', 'x', 'keeper.tick', '--every', '1h', '--overlap', 'skp'],
      'schedules.x.overlap',
    ],
    ['an id that is none', ['put', 'x.y', 'keeper.tick', '--every', '1h'], "expected the schedule's id to be"],
    ['half a message', ['put', 'x', 'keeper', '--every', '1h'], 'ACTOR.MESSAGE'],
    ['a condition that is none', ['put', 'x', 'keeper.tick', '--every', '1h', '--only', '9:00'], 'schedules.x.only'],
    ['a state that is none', ['ls', '--state', 'pausd'], 'expected --state to be one of'],
    ['a backfill without a beginning', ['backfill', 'daily-digest'], 'expected --from'],
    ['an import that is no export', ['import', 'keeper.ts'], 'to be JSON'],
  ])('with exit code 2 and what is right: %s', async (_what, args, text) => {
    const { code, stdout, stderr } = await schedules(...args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(text)
    expect(stderr).not.toContain('    at ')
  })

  it.each([
    ['an actor that is not there', ['put', 'x', 'nobody.tick', '--every', '1h'], 'nobody'],
    ['a schedule that is not there', ['show', 'daily-digst'], 'did you mean "daily-digest"?'],
  ])('with exit code 1: %s', async (_what, args, text) => {
    const { code, stderr } = await schedules(...args)
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(text) as string })
  })
})

/** Runs a command again until it shows something: what a worker does after it told is not told. */
async function until(run: () => Promise<Ended>, holds: (ended: Ended) => boolean): Promise<Ended> {
  for (;;) {
    const ended = await run()
    if (holds(ended)) return ended
  }
}
