/**
 * Structured logs: one record a line, JSON for machines, plain text for a terminal. Writing a log never throws, whatever is in
 * the fields, and never shows what a field's name says is a secret.
 */

import { systemClock } from './time/clock.ts'

/** Writes records. Any logger of this form can take its place. */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A logger that adds these fields to each of its records. Cheap: nothing happens to them until a record is written. */
  child(fields: LogFields): Logger
}

/** Data of a record. Errors are written with name, message, code, stack and cause. */
export type LogFields = Readonly<Record<string, unknown>>

/** What is written: a level and all after it in `debug`, `info`, `warn`, `error`; `silent` for nothing. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** How `createLogger` writes. */
export interface LogOptions {
  /** `info` by default. */
  readonly level?: LogLevel
  /** `auto`, the default: `pretty` on a terminal, `json` elsewhere. */
  readonly format?: 'json' | 'pretty' | 'auto'
  /** Standard error by default. Colours appear only where `isTTY` is true. */
  readonly stream?: LogStream
}

/** Where lines go. */
export interface LogStream {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** A logger that writes lines to a stream. */
export function createLogger(options: LogOptions = {}): Logger {
  const stream = options.stream ?? process.stderr
  const isTerminal = stream.isTTY === true
  const pretty = options.format === 'pretty' || (options.format !== 'json' && isTerminal)
  const toLine = pretty ? prettyLine(isTerminal) : jsonLine
  const sink: Sink = {
    least: ranks[options.level ?? 'info'],
    write: (record) => void stream.write(`${toLine(record)}\n`),
  }
  return new LineLogger(sink, undefined, {})
}

/** A logger that hands every record on, cleaned, whatever its level: for whoever writes elsewhere. */
export function createRelay(write: (record: LogRecord) => void): Logger {
  return new LineLogger({ least: ranks.debug, write }, undefined, {})
}

type Level = Exclude<LogLevel, 'silent'>

interface Sink {
  readonly least: number
  write(record: LogRecord): void
}

/** What a logger writes. Its fields are plain data, secrets hidden. */
export interface LogRecord {
  readonly level: Level
  readonly timeMs: number
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

const ranks: Readonly<Record<LogLevel, number>> = { debug: 10, info: 20, warn: 30, error: 40, silent: 99 }

class LineLogger implements Logger {
  readonly #sink: Sink
  readonly #parent: LineLogger | undefined
  readonly #fields: LogFields

  constructor(sink: Sink, parent: LineLogger | undefined, fields: LogFields) {
    this.#sink = sink
    this.#parent = parent
    this.#fields = fields
  }

  debug(message: string, fields?: LogFields): void {
    if (this.#sink.least <= ranks.debug) this.#write('debug', message, fields)
  }

  info(message: string, fields?: LogFields): void {
    if (this.#sink.least <= ranks.info) this.#write('info', message, fields)
  }

  warn(message: string, fields?: LogFields): void {
    if (this.#sink.least <= ranks.warn) this.#write('warn', message, fields)
  }

  error(message: string, fields?: LogFields): void {
    if (this.#sink.least <= ranks.error) this.#write('error', message, fields)
  }

  child(fields: LogFields): Logger {
    return new LineLogger(this.#sink, this, fields)
  }

  #write(level: Level, message: string, fields: LogFields = {}): void {
    this.#sink.write({ level, timeMs: systemClock.now(), message: hideCredentials(message), fields: this.#all(fields) })
  }

  #all(fields: LogFields): Readonly<Record<string, unknown>> {
    try {
      return clean({ ...this.#inherited(), ...fields }, []) as Record<string, unknown>
    } catch {
      return { fields: '[unreadable]' }
    }
  }

  #inherited(): LogFields {
    return this.#parent === undefined ? this.#fields : { ...this.#parent.#inherited(), ...this.#fields }
  }
}

function jsonLine({ level, timeMs, message, fields }: LogRecord): string {
  const head = { level, time: new Date(timeMs).toISOString(), msg: message }
  const entries = Object.entries(fields).map(([key, value]) => [Object.hasOwn(head, key) ? `${key}_` : key, value])
  return JSON.stringify(Object.fromEntries([...Object.entries(head), ...entries]))
}

const colours: Readonly<Record<Level | 'dim', number>> = { debug: 90, info: 32, warn: 33, error: 31, dim: 90 }

function prettyLine(coloured: boolean): (record: LogRecord) => string {
  const paint = (colour: number, text: string): string => (coloured ? `\u001B[${colour}m${text}\u001B[39m` : text)
  return ({ level, timeMs, message, fields }) => {
    const time = paint(colours.dim, new Date(timeMs).toISOString().slice(11, 23))
    const pairs = Object.entries(fields).map(
      ([key, value]) => ` ${paint(colours.dim, `${printable(key)}=`)}${brief(value)}`,
    )
    const stacks = Object.values(fields).map(stackOf).join('')
    return `${time} ${paint(colours[level], level.toUpperCase().padEnd(5))} ${printable(message)}${pairs.join('')}${stacks}`
  }
}

function brief(value: unknown): string {
  if (typeof value === 'string' && /^[^\s"=]+$/.test(value)) return printable(value)
  if (isCleanedError(value)) return JSON.stringify(`${String(value['name'])}: ${String(value['message'])}`)
  return JSON.stringify(value) ?? 'undefined'
}

function stackOf(value: unknown): string {
  if (!isCleanedError(value)) return ''
  const lines = String(value['stack']).split('\n').slice(1)
  return lines.map((line) => `\n    ${printable(line.trim())}`).join('')
}

function isCleanedError(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && 'stack' in value && 'message' in value
}

/** Text from strangers must not move the cursor of whoever reads it, nor begin a line of its own. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

const secretName = /password|passwd|passphrase|token|secret|authori[sz]ation|apikey|privatekey|credential|seed|cookie/
const deepest = 8
const longestList = 100

/** A copy that JSON can write: secrets hidden, cycles and what is too deep cut, everything else in its shortest useful form. */
function clean(value: unknown, above: readonly object[]): unknown {
  if (typeof value === 'string') return hideCredentials(value)
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`
  if (typeof value !== 'object' || value === null) return value
  if (above.includes(value)) return '[circular]'
  if (above.length >= deepest) return '[deep]'
  try {
    return cleanObject(value, [...above, value])
  } catch {
    return '[unreadable]'
  }
}

function cleanObject(value: object, above: readonly object[]): unknown {
  if (value instanceof Uint8Array) return `[${value.length} bytes]`
  if (value instanceof Error) return cleanError(value, above)
  if (value instanceof Map)
    return cleanEntries(
      Array.from(value, ([key, child]) => [String(key), child]),
      above,
    )
  if (Array.isArray(value) || value instanceof Set) {
    const all = Array.from(value as Iterable<unknown>)
    const shown = all.slice(0, longestList).map((child) => clean(child, above))
    return all.length > longestList ? [...shown, `[${all.length - longestList} more]`] : shown
  }
  if ('toJSON' in value && typeof value.toJSON === 'function')
    return clean((value as { toJSON(): unknown }).toJSON(), above)
  return cleanEntries(Object.entries(value), above)
}

function cleanError(error: Error, above: readonly object[]): unknown {
  const { name, message, stack, cause } = error
  const own = Object.entries(error).filter(([key]) => key !== 'name' && key !== 'cause')
  const all: [string, unknown][] = [['name', name], ['message', message], ['stack', stack], ...own]
  return cleanEntries(cause === undefined ? all : [...all, ['cause', cause]], above)
}

function cleanEntries(entries: readonly (readonly [string, unknown])[], above: readonly object[]): unknown {
  return Object.fromEntries(entries.map(([key, child]) => [key, isSecret(key) ? '[hidden]' : clean(child, above)]))
}

function isSecret(name: string): boolean {
  return secretName.test(name.toLowerCase().replaceAll(/[-_\s]/g, ''))
}

/** `nats://user:password@host` without the part before the `@`. */
function hideCredentials(text: string): string {
  return text.includes('@') ? text.replaceAll(/:\/\/[^\s/@]+@/g, '://[hidden]@') : text
}
