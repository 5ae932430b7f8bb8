import { pino } from 'pino'
import { describe, expect, it } from 'vitest'

import { type LogOptions, createLogger, pinoLogger } from '#runtime/log.js'
import { Secrets } from '#runtime/secrets.js'

const collect = (options: LogOptions = {}, isTTY = false) => {
  const lines: string[] = []
  const log = createLogger({ format: 'json', ...options, stream: { write: (text) => lines.push(text), isTTY } })
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> }
}

describe('logs', () => {
  it('are one line of JSON a record, with the fields of all loggers above', () => {
    const { log, lines, last } = collect()
    log.child({ actor: 'mailer', id: 1 }).child({ id: 2 }).info('two\nlines', { n: 1, msg: 'x' })
    expect(lines).toEqual([expect.stringMatching(/^[^\n]+\n$/)])
    expect(last()).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      msg: 'two\nlines',
      actor: 'mailer',
      id: 2,
      n: 1,
      msg_: 'x',
    })
  })

  it('leave out what is below their level, without looking at its fields', () => {
    const { log, lines } = collect({ level: 'warn' })
    const fields = {
      get x(): number {
        throw new Error('was read')
      },
    }
    log.debug('a', fields)
    log.info('b', fields)
    log.child(fields)
    log.warn('c')
    log.error('d')
    expect(lines).toHaveLength(2)
    const silent = collect({ level: 'silent' })
    silent.log.error('e')
    expect(silent.lines).toEqual([])
  })

  it('hide secrets at any depth, in errors, and in addresses', () => {
    const { log, lines } = collect()
    const error = Object.assign(new Error('no nats://u:hunter2@h', { cause: { apiKey: 'hunter2' } }), {
      token: 'hunter2',
    })
    log.info('to nats://user:hunter2@host', {
      a: [{ 'X-Api-Key': 'hunter2', Authorization: 'hunter2' }],
      nkeySeed: 'hunter2',
      session_cookie: 'hunter2',
      m: new Map([['password', 'hunter2']]),
      error,
    })
    expect(lines.join('')).not.toContain('hunter2')
    expect(lines.join('')).toContain('nats://[hidden]@host')
  })

  it('write errors with stack, code and cause', () => {
    const { log, last } = collect()
    log.error('failed', { error: Object.assign(new TypeError('bad', { cause: new Error('deeper') }), { code: 'E1' }) })
    expect(last()['error']).toMatchObject({
      name: 'TypeError',
      message: 'bad',
      code: 'E1',
      stack: expect.stringContaining('log.test') as string,
      cause: { message: 'deeper' },
    })
  })

  it('write anything at all: cycles, bigints, functions, throwing getters', () => {
    const { log, last } = collect()
    const cycle: Record<string, unknown> = {
      big: 1n,
      fn: () => 1,
      bytes: new Uint8Array(3),
      set: new Set([1]),
      date: new Date(0),
    }
    cycle['self'] = cycle
    log.info('odd', {
      cycle,
      bad: {
        get x(): number {
          throw new Error('no')
        },
      },
      many: Array.from({ length: 200 }, () => 0),
    })
    expect(last()).toMatchObject({
      cycle: {
        big: '1',
        fn: '[function]',
        bytes: '[3 bytes]',
        set: [1],
        date: '1970-01-01T00:00:00.000Z',
        self: '[circular]',
      },
      bad: '[unreadable]',
    })
    expect(last()['many']).toHaveLength(101)
    log.info('top', {
      get x(): number {
        throw new Error('no')
      },
    })
    expect(last()['msg']).toBe('top')
  })

  it('are plain text on a terminal, coloured only there, and no field can break the line', () => {
    const plain = collect({ format: 'pretty' })
    plain.log.warn('hello\u001B[2J', { id: 'a1', text: 'two words', error: new Error('bad') })
    expect(plain.lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} WARN {2}hello\\u001b\[2J id=a1 text="two words" error="Error: bad"\n {4}at /,
    )
    expect(plain.lines[0]).not.toContain('\u001B')
    const terminal = collect({ format: 'auto' }, true)
    terminal.log.warn('hello')
    expect(terminal.lines[0]).toContain('\u001B[33mWARN')
    const piped = collect({ format: 'auto' })
    piped.log.warn('hello')
    expect(piped.last()['msg']).toBe('hello')
  })

  it('hide what an application says is a secret', () => {
    const { log, last } = collect({ secrets: new Secrets(['card']) })
    log.info('paid', { cardNumber: '4111', total: 3 })
    expect(last()).toMatchObject({ cardNumber: '[hidden]', total: 3 })
  })

  it('may go through a pino logger of the application’s own, by its level and with its bindings', () => {
    const lines: string[] = []
    const own = pino({ level: 'warn', name: 'shop' }, { write: (line: string) => void lines.push(line) })
    const log = pinoLogger(own).child({ actor: 'mailer' })
    log.info('not written')
    log.warn('written', { token: 'hunter2', error: new Error('bad') })
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 40,
      name: 'shop',
      actor: 'mailer',
      msg: 'written',
      token: '[hidden]',
      error: { name: 'Error', message: 'bad' },
    })
  })
})
