/** Reads what a command line says about messages: which, with what payload, with which options. */
import { readFile } from 'node:fs/promises'
import { text as readAll } from 'node:stream/consumers'

import { actorRef, type MessageRef } from '../actor.ts'
import { ConfigError, PayloadError, describe, toError } from '../errors.ts'
import { systemClock } from '../time/clock.ts'
import { parseDuration, parseInstant, type Duration } from '../time/duration.ts'
import { usage } from './parse.ts'

/** `mailer.welcome`. Throws `ConfigError` `USAGE` or `INVALID_NAME`. */
export function messageOf(text: string | undefined): MessageRef<unknown, unknown> {
  const [actor = '', message = '', ...rest] = (text ?? '').split('.')
  if (actor === '' || message === '' || rest.length > 0) {
    throw usage(`expected the message as ACTOR.MESSAGE such as mailer.welcome, got: ${describe(text)}`)
  }
  const ref = actorRef(actor)[message]
  if (ref === undefined) throw usage(`expected the name of a message after "${actor}.", got: ${describe(message)}`)
  return ref
}

/** JSON as it stands there, `@FILE`, or `-` for stdin; `{}` where nothing is given. Throws `PayloadError` `UNDECODABLE`. */
export async function payloadOf(text: string | undefined): Promise<unknown> {
  if (text === undefined) return {}
  if (text === '-') return jsonOf(await readAll(process.stdin), 'what stdin says')
  if (!text.startsWith('@')) return jsonOf(text, 'the payload')
  const file = text.slice(1)
  const content = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ConfigError(
      'NO_SUCH_FILE',
      `expected a file to read the payload from, got: ${describe(file)} (${toError(cause).message})`,
      { cause },
    )
  })
  return jsonOf(content, `the content of ${file}`)
}

/** The value that JSON says; `what` is where it stood. Throws `PayloadError` `UNDECODABLE`. */
export function jsonOf(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const hint = what === 'the payload' ? ` In a shell, put it in single quotes: '{"to":"a@b.c"}'.` : ''
    throw new PayloadError('UNDECODABLE', `expected ${what} to be JSON, got: ${describe(text)}.${hint}`, { cause })
  }
}

/** `name=value`, each. Throws `ConfigError` `USAGE`. */
export function headersOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(pairs.map((pair) => headerOf(pair)))
}

/** One `name=value`. */
export function headerOf(pair: string): readonly [string, string] {
  const at = pair.indexOf('=')
  if (at < 1) throw usage(`expected --header to be NAME=VALUE, got: ${describe(pair)}`)
  return [pair.slice(0, at), pair.slice(at + 1)]
}

/** A duration as it is written, or a moment: what begins with a year. */
export function durationOrDate(text: string | undefined, name: string): Duration | Date | undefined {
  return text === undefined || !/^\d{4}-/.test(text) ? text : new Date(parseInstant(text, name))
}

/** A moment in the past: as it is written, or so long ago. */
export function momentAgo(text: string | undefined, name: string): Date | undefined {
  const value = durationOrDate(text, name)
  if (value === undefined || value instanceof Date) return value
  return new Date(systemClock.now() - parseDuration(value, name))
}

/** A whole number from 1. Throws `ConfigError` `USAGE`. */
export function countOf(text: string | undefined, flag: string): number | undefined {
  if (text === undefined || /^[1-9]\d{0,14}$/.test(text)) return text === undefined ? undefined : Number(text)
  throw usage(`expected --${flag} to be a whole number from 1, got: ${describe(text)}`)
}

/** An object without what was not given: options tell "absent" from `undefined`. */
export function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as ReturnType<
    typeof given<T>
  >
}
