/**
 * Structured logs: one record a line, JSON for machines (written by pino), plain text for a terminal. Writing a log never throws,
 * whatever is in the fields, and never shows what a field's name says is a secret.
 *
 * Why fields are cleaned here and not by pino's redaction: that knows paths, and a secret may stand anywhere.
 */
import { pino, type Logger as PinoLogger } from 'pino'

import { cleanFields } from './logFields.ts'
import { prettyLine } from './logPretty.ts'
import { builtInSecrets, hideLogin, type Secrets } from './secrets.ts'
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

export type RecordLevel = Exclude<LogLevel, 'silent'>

/** How `createLogger` writes. */
export interface LogOptions {
  /** `info` by default. */
  readonly level?: LogLevel
  /** `auto`, the default: `pretty` on a terminal, `json` elsewhere. */
  readonly format?: 'json' | 'pretty' | 'auto'
  /** Standard error by default. Colours appear only where `isTTY` is true. */
  readonly stream?: LogStream
  /** What is hidden. Default: the built-in words. */
  readonly secrets?: Secrets
}

/** Where lines go. */
export interface LogStream {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** A record whose fields are clean. */
export interface LogRecord {
  readonly level: RecordLevel
  readonly message: string
  readonly fields: LogFields
}

/** A logger that hands every record on, cleaned, whatever its level: for whoever writes elsewhere. */
export function createRelay(write: (record: LogRecord) => void): Logger {
  return new LineLogger({ least: RANKS.debug, secrets: builtInSecrets, write }, undefined, {})
}

interface Sink {
  readonly least: number
  readonly secrets: Secrets
  write(record: LogRecord): void
}

/** A logger that writes lines to a stream. */
export function createLogger(options: LogOptions = {}): Logger {
  const { stream = process.stderr, level = 'info', format = 'auto', secrets = builtInSecrets } = options
  const isTerminal = stream.isTTY === true
  const isPretty = format === 'pretty' || (format === 'auto' && isTerminal)
  const write = isPretty ? toTerminal(stream, isTerminal) : toPino(jsonPino(stream))
  return new LineLogger({ least: RANKS[level], secrets, write }, undefined, {})
}

/**
 * Writes through a pino logger of your own: its transports, its bindings, its level. Pass it as `logger` to `run`. Fields are
 * cleaned first, as everywhere.
 */
export function pinoLogger(logger: PinoLogger, secrets: Secrets = builtInSecrets): Logger {
  const least = (['debug', 'info', 'warn', 'error'] as const).find((level) => logger.isLevelEnabled(level))
  return new LineLogger({ least: RANKS[least ?? 'silent'], secrets, write: toPino(logger) }, undefined, {})
}

const RANKS: Readonly<Record<LogLevel, number>> = { debug: 10, info: 20, warn: 30, error: 40, silent: 99 }

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
    if (this.#sink.least <= RANKS.debug) this.#write('debug', message, fields)
  }

  info(message: string, fields?: LogFields): void {
    if (this.#sink.least <= RANKS.info) this.#write('info', message, fields)
  }

  warn(message: string, fields?: LogFields): void {
    if (this.#sink.least <= RANKS.warn) this.#write('warn', message, fields)
  }

  error(message: string, fields?: LogFields): void {
    if (this.#sink.least <= RANKS.error) this.#write('error', message, fields)
  }

  child(fields: LogFields): Logger {
    return new LineLogger(this.#sink, this, fields)
  }

  #write(level: RecordLevel, message: string, fields: LogFields = {}): void {
    this.#sink.write({ level, message: hideLogin(message), fields: this.#all(fields) })
  }

  #all(fields: LogFields): LogFields {
    try {
      return cleanFields({ ...this.#inherited(), ...fields }, this.#sink.secrets)
    } catch {
      return { fields: '[unreadable]' }
    }
  }

  #inherited(): LogFields {
    return this.#parent === undefined ? this.#fields : { ...this.#parent.#inherited(), ...this.#fields }
  }
}

function jsonPino(stream: LogStream): PinoLogger {
  const options = {
    level: 'debug',
    // Who runs is said by the record that tells of the start, not by each.
    base: null,
    timestamp: () => `,"time":"${isoNow()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  return pino(options, { write: (line: string) => void stream.write(line) })
}

function toPino(logger: PinoLogger): Sink['write'] {
  return ({ level, message, fields }) => logger[level](renamed(fields), message)
}

/** What pino writes itself would stand there twice. */
const HEAD: ReadonlySet<string> = new Set(['level', 'time', 'msg'])

function renamed(fields: LogFields): LogFields {
  for (const key of HEAD) {
    if (!Object.hasOwn(fields, key)) continue
    return Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [HEAD.has(name) ? `${name}_` : name, value]),
    )
  }
  return fields
}

function toTerminal(stream: LogStream, isColoured: boolean): Sink['write'] {
  const toLine = prettyLine(isColoured)
  return (record) => void stream.write(`${toLine(record, isoNow())}\n`)
}

function isoNow(): string {
  return new Date(systemClock.now()).toISOString()
}
