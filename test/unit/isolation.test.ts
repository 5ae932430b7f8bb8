/** The pure parts of isolation: options, blame, recycling, what crosses to a thread or process. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { describe, expect, it } from 'vitest'

import { AbortedError, ConfigError, OutcomeError, PayloadError } from '#runtime/errors.js'
import { parseCrashes } from '#runtime/flow/marks.js'
import { callerOf, fileUrl } from '#runtime/isolation/callSite.js'
import { asReceived, checkCarried, isPlain } from '#runtime/isolation/carry.js'
import {
  boundReport,
  describeCrash,
  isBlamed,
  lostOutcome,
  NO_CRASHES,
  type Blame,
  type CrashReport,
} from '#runtime/isolation/crash.js'
import { fromErrorData, toErrorData } from '#runtime/isolation/errorData.js'
import { loadingFlags } from '#runtime/isolation/nodeFlags.js'
import { resolveIsolation } from '#runtime/isolation/options.js'
import { isWornOut, recycleMarks } from '#runtime/isolation/recycle.js'
import { formatSize, parseSize } from '#runtime/size.js'

describe('sizes', () => {
  it.each([
    ['512MB', 536_870_912],
    ['512 mb', 536_870_912],
    ['1.5GiB', 1_610_612_736],
    ['64KB', 65_536],
    ['10b', 10],
    [1_000, 1_000],
  ] as const)('%s is %i bytes', (text, bytes) => expect(parseSize(text, 'x')).toBe(bytes))

  it.each(['', '512', 'MB', '-1MB', '1TB', 0, -1, NaN, Infinity, null, {}])('%s is none', (value) => {
    expect(() => parseSize(value, 'box.memoryLimit')).toThrow(/box\.memoryLimit to be a size such as "512MB"/)
  })

  it.each([
    [536_870_912, '512MB'],
    [1_610_612_736, '1.5GB'],
    [2_048, '2KB'],
  ])('%i bytes are %s', (bytes, text) => expect(formatSize(bytes)).toBe(text))
})

describe('options', () => {
  const here = (): string => 'file:///here.ts'

  it('have defaults, and find the module where the actor is defined', () => {
    expect(resolveIsolation('box', {}, here)).toBeUndefined()
    expect(resolveIsolation('box', { isolate: 'inline' }, here)).toBeUndefined()
    expect(resolveIsolation('box', { isolate: 'process' }, here)).toEqual({
      kind: 'process',
      module: 'file:///here.ts',
      workers: undefined,
      spares: undefined,
      execArgv: undefined,
      connection: false,
      memoryLimitBytes: undefined,
      recycle: undefined,
    })
    const module = pathToFileURL(join(process.cwd(), 'a b.ts'))
    for (const named of [module, module.href, join(process.cwd(), 'a b.ts')])
      expect(resolveIsolation('box', { isolate: 'thread', module: named }, here)?.module).toBe(module.href)
  })

  it('are read whole', () => {
    const isolate = { kind: 'thread', workers: 2, spares: 0, execArgv: ['--no-warnings'], connection: true } as const
    const recycle = { afterMessages: 10, aboveMemory: '1MB', atAge: '1s', jitter: 0 }
    expect(resolveIsolation('box', { isolate, memoryLimit: '2MB', recycle }, here)).toMatchObject({
      ...isolate,
      memoryLimitBytes: 2_097_152,
      recycle: { afterMessages: 10, aboveBytes: 1_048_576, atAgeMs: 1_000, jitter: 0 },
    })
  })

  it.each([
    [{ isolate: 'proces' }, /box\.isolate to be one of .*did you mean "process"/],
    [{ isolate: 3 }, /box\.isolate to be an object/],
    [{ isolate: { kind: 'process', worker: 2 } }, /did you mean "workers"/],
    [{ isolate: { kind: 'process', workers: 0 } }, /box\.isolate\.workers to be a whole number from 1/],
    [{ isolate: { kind: 'process', connection: 'yes' } }, /box\.isolate\.connection/],
    [{ isolate: { kind: 'process', execArgv: '--x' } }, /box\.isolate\.execArgv/],
    [{ isolate: 'process', recycle: { after: 1 } }, /afterMessages/],
    [{ isolate: 'process', recycle: { jitter: 2 } }, /box\.recycle\.jitter/],
    [{ recycle: { afterMessages: 1 } }, /thread or process where recycle is given/],
    [{ isolate: 'process', module: 'relative.ts' }, /box\.module to be the URL or absolute path/],
  ])('%j is refused', (options, text) => {
    expect(() => resolveIsolation('box', options as never, here)).toThrow(text)
  })

  it('that can find no module say so', () => {
    expect(() => resolveIsolation('box', { isolate: 'process' }, () => undefined)).toThrow(/import\.meta\.url/)
  })
})

describe('the call site', () => {
  const callee = (): string | undefined => callerOf(callee)

  it('is the file that called, whatever a source map makes of its stack', () => {
    const { stackTraceLimit } = Error
    expect(callee()).toBe(pathToFileURL(join(process.cwd(), 'test/unit/isolation.test.ts')).href)
    expect(Error.stackTraceLimit).toBe(stackTraceLimit)
    expect(new Error('as before').stack).toMatch(/^Error: as before\n/)
  })

  it.each([
    ['file:///a/b.ts?v=1#x', 'file:///a/b.ts'],
    ['/a/b c.ts', 'file:///a/b%20c.ts'],
    ['node:internal/x', undefined],
    ['relative.ts', undefined],
    [null, undefined],
  ])('%s as a URL is %s', (name, url) => expect(fileUrl(name)).toBe(url))
})

describe('blame', () => {
  const report: CrashReport = { at: '2026-01-01T00:00:00Z', member: 's/a/1', kind: 'process', cause: 'exit', code: 0 }

  it.each([
    ['unknown', 1, true],
    ['nobody', 1, false],
    [{ run: 1 }, 1, true],
    [{ run: 2 }, 1, false],
  ] as const)('%j counts against run %i: %s', (blame, run, counts) => {
    expect(isBlamed(run, blame as Blame)).toBe(counts)
  })

  it('counts up, and makes a message poison at its limit', () => {
    const first = lostOutcome({ kind: 'crashed', report }, NO_CRASHES, 2)
    expect(first).toEqual({ kind: 'crashed', crashes: { count: 1, seen: 1, reports: [report] } })
    const second = lostOutcome({ kind: 'crashed', report }, { count: 1, seen: 1, reports: [report] }, 2)
    expect(second).toMatchObject({
      kind: 'dead',
      reason: 'poison',
      failure: { code: 'POISON' },
      crashes: [report, report],
    })
    expect((second as { failure: { message: string } }).failure.message).toMatch(/died 2 times .*exit code 0/)
  })

  it('leaves the innocent uncounted', () => {
    expect(lostOutcome({ kind: 'innocent' }, { count: 2, seen: 2, reports: [] }, 3)).toEqual({ kind: 'released' })
  })

  it('keeps the newest reports, within bounds', () => {
    let crashes = NO_CRASHES
    for (let code = 0; code < 9; code++) {
      const outcome = lostOutcome({ kind: 'crashed', report: { ...report, code } }, crashes, 100)
      if (outcome.kind === 'crashed') crashes = outcome.crashes
    }
    expect(crashes.count).toBe(9)
    expect(crashes.reports.map(({ code }) => code)).toEqual([4, 5, 6, 7, 8])
    const long = boundReport({
      ...report,
      stderr: `${'x'.repeat(5_000)}the end`,
      error: `the start${'x'.repeat(5_000)}`,
    })
    expect(long.stderr).toMatch(/the end$/)
    expect(long.error).toMatch(/^the start/)
    expect(JSON.stringify(long).length).toBeLessThan(2_500)
  })

  it.each([
    [{ cause: 'exit', code: 3 }, 'its process ended by itself with exit code 3'],
    [{ cause: 'signal', signal: 'SIGKILL' }, 'its process was ended by SIGKILL'],
    [{ cause: 'uncaught', error: 'Error: no\n  at x' }, 'its process ended since nobody caught: Error: no'],
    [{ cause: 'memory', memoryBytes: 536_870_912 }, 'its process was out of memory, at 512MB'],
  ] as const)('%j in words: %s', (crash, text) => expect(describeCrash({ ...report, ...crash })).toBe(text))

  it.each([
    ['{"count":2,"seen":1,"reports":[]}', { count: 2, seen: 1, reports: [] }],
    ['2', { count: 2, seen: 0, reports: [] }],
    ['{"count":"many"}', NO_CRASHES],
    ['nonsense', NO_CRASHES],
    ['null', NO_CRASHES],
    ['-1', NO_CRASHES],
  ])('a mark that says %s is read', (text, crashes) => expect(parseCrashes(Buffer.from(text))).toEqual(crashes))
})

describe('recycling', () => {
  const rule = { afterMessages: 100, aboveBytes: 1_000, atAgeMs: 60_000, jitter: 0.5 }
  const fresh = { messages: 0, heldBytes: 0, ageMs: 0 }

  it('comes earlier by chance, but for memory', () => {
    expect(recycleMarks(rule, 0)).toEqual({ messages: 100, bytes: 1_000, ageMs: 60_000 })
    expect(recycleMarks(rule, 1)).toEqual({ messages: 50, bytes: 1_000, ageMs: 30_000 })
    expect(recycleMarks({ ...rule, afterMessages: 1, jitter: 1 }, 1).messages).toBe(1)
  })

  it.each([
    [{}, false],
    [{ messages: 99, heldBytes: 1_000, ageMs: 59_999 }, false],
    [{ messages: 100 }, true],
    [{ heldBytes: 1_001 }, true],
    [{ ageMs: 60_000 }, true],
  ])('after %j: %s', (served, is) => expect(isWornOut(recycleMarks(rule, 0), { ...fresh, ...served })).toBe(is))

  it('never comes without a rule', () => {
    const marks = recycleMarks(undefined, 1)
    expect(isWornOut(marks, { messages: 1e9, heldBytes: 1e12, ageMs: 1e12 })).toBe(false)
    expect(isWornOut(recycleMarks({ ...rule, afterMessages: undefined }, 1), { ...fresh, messages: 1e9 })).toBe(false)
  })
})

describe('Node flags', () => {
  it.each([
    [
      ['--import', 'tsx'],
      ['--import', 'tsx'],
    ],
    [['--import=tsx', '--inspect=9229', '--max-old-space-size=100'], ['--import=tsx']],
    [
      ['--conditions', 'development', '--expose-gc', '-C', 'x'],
      ['--conditions', 'development', '-C', 'x'],
    ],
    [['--enable-source-maps', '-e', 'code', '--watch'], ['--enable-source-maps']],
    [['--experimental-strip-types', '--input-type=module'], ['--experimental-strip-types']],
    [['--import'], ['--import']],
    [[], []],
  ])('%j: those that say how modules are loaded are %j', (given, kept) => expect(loadingFlags(given)).toEqual(kept))
})

class Money {
  readonly cents = 1
  toJSON(): string {
    return '0.01 EUR'
  }
}

describe('what is carried', () => {
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle

  it.each([
    [
      { a: [1, 'x', null, undefined, true, 1n], d: new Date(0), m: new Map([[1, new Set([2])]]), b: new Uint8Array(1) },
      true,
    ],
    [Object.create(null), true],
    [new Money(), false],
    [{ deep: [{ er: new Money() }] }, false],
    [new Map([['k', new Money()]]), false],
    [() => 1, false],
    [Symbol('x'), false],
    [cycle, false],
    [Promise.resolve(), false],
  ])('%s as it is: %s', (value, is) => expect(isPlain(value)).toBe(is))

  it('is made what its receiver gets where it says itself how it is written', () => {
    expect(asReceived('application/json', { price: new Money(), at: new Date(0) })).toEqual({
      price: '0.01 EUR',
      at: '1970-01-01T00:00:00.000Z',
    })
    const plain = { a: new Map() }
    expect(asReceived('application/json', plain)).toBe(plain)
    expect(() => asReceived('application/json', { f: () => 1 })).toThrow(PayloadError)
  })

  it('says where a payload is not data', () => {
    expect(() => checkCarried('box', 'work', { items: [{ price: new Money() }] })).toThrow(/payload\.items\[0\]\.price/)
    expect(() => checkCarried('box', 'work', { items: [] })).not.toThrow()
  })
})

describe('errors', () => {
  const crossed = (error: unknown): Error => fromErrorData(structuredClone(toErrorData(error)))

  it('keep name, message, stack, code, fields and causes', () => {
    class Busy extends Error {
      override readonly name = 'Busy'
      readonly code = 'BUSY'
      readonly retryAfter = 3
      readonly held = (): void => {}
    }
    const error = new Busy('not now', { cause: new TypeError('deep', { cause: 'text' }) })
    const copy = crossed(error)
    expect(copy).toMatchObject({ name: 'Busy', message: 'not now', code: 'BUSY', retryAfter: 3 })
    expect(copy.stack).toBe(error.stack)
    expect(copy).not.toHaveProperty('held')
    expect(copy.cause).toBeInstanceOf(TypeError)
    expect((copy.cause as Error).cause).toMatchObject({ message: 'text' })
  })

  it('of Troupe and of the language are of their classes again', () => {
    const payload = crossed(
      new PayloadError('INVALID_PAYLOAD', 'no', { data: { issues: [{ path: 'a', message: 'b' }] } }),
    )
    expect(payload).toBeInstanceOf(PayloadError)
    expect(payload).toMatchObject({ code: 'INVALID_PAYLOAD', data: { issues: [{ path: 'a', message: 'b' }] } })
    expect(crossed(new AbortedError('cancelled', 'x'))).toMatchObject({ why: 'cancelled', code: 'CANCELLED' })
    const outcome = crossed(new OutcomeError('DEAD', 'x', { name: 'E', message: 'm' }))
    expect(outcome).toBeInstanceOf(OutcomeError)
    expect(outcome).toMatchObject({ failure: { name: 'E', message: 'm' } })
    expect(crossed(new AggregateError([new RangeError('one')], 'all'))).toMatchObject({ errors: [{ message: 'one' }] })
  })

  it('of a class that only has the same name are not', () => {
    class ConfigErrorOfOthers extends Error {}
    Object.defineProperty(ConfigErrorOfOthers, 'name', { value: 'ConfigError' })
    expect(crossed(new ConfigErrorOfOthers('x'))).not.toBeInstanceOf(ConfigError)
  })

  it('may be anything that was thrown', () => {
    expect(crossed('text')).toMatchObject({ message: 'text' })
    expect(crossed(undefined)).toBeInstanceOf(Error)
    const endless = new Error('endless')
    endless.cause = endless
    expect(crossed(endless)).toMatchObject({ message: 'endless' })
    expect(crossed(new Error('x'.repeat(200_000))).message.length).toBeLessThan(100_000)
  })
})
