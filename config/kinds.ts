/**
 * The kinds of values that settings have: how each is read from what a program or a configuration file says, and from the text of an
 * environment variable or a flag. A kind returns `undefined` for what it can't read; who asked (resolve.ts) says so to the user.
 */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

import { parseDuration, type Duration } from '../runtime/time/duration.ts'

/** `In` is what users write, `Out` what Troupe works with; `Suffix` is added to the setting's name in the resolved configuration. */
export interface Kind<In, Out, Suffix extends string = ''> {
  /** Completes "expected nats.replicas to be …". */
  readonly expected: string
  readonly suffix: Suffix
  /** Whether a flag of this kind may stand without a value. */
  readonly isSwitch?: true
  /** Reads a value as a program writes it. `base` is the folder that relative paths start from. */
  read(value: unknown, base: string): Out | undefined
  /** Turns text into what `read` takes. */
  fromText(text: string): unknown
  /** Never read: it only carries what users write to the types. */
  readonly input?: In
}

const asText = (text: string): unknown => text
const numeric = (text: string): unknown => (/^\s*\d+\s*$/.test(text) ? Number(text) : text.trim())
const split = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')

/** Text, not empty, that matches `pattern`. */
export function text(expected = 'text', pattern = /\S/): Kind<string, string> {
  const read = (value: unknown): string | undefined =>
    typeof value === 'string' && pattern.test(value) ? value : undefined
  return { expected, suffix: '', fromText: asText, read }
}

/** One of a few words. */
export function choice<const Word extends string>(...words: Word[]): Kind<Word, Word> {
  const expected = `one of ${words.map((word) => JSON.stringify(word)).join(', ')}`
  return { expected, suffix: '', fromText: asText, read: (value) => words.find((word) => word === value) }
}

/** Yes or no. As text: `true`, `false`, `on`, `off`, `yes`, `no`, `1`, `0`. */
export const flag: Kind<boolean, boolean> = {
  expected: 'true or false',
  suffix: '',
  isSwitch: true,
  read: (value) => (typeof value === 'boolean' ? value : undefined),
  fromText(text) {
    const word = text.toLowerCase()
    if (['true', 'on', 'yes', '1'].includes(word)) return true
    return ['false', 'off', 'no', '0'].includes(word) ? false : text
  },
}

/** A whole number within bounds. */
export function wholeNumber(from: number, to = Number.MAX_SAFE_INTEGER): Kind<number, number> {
  const range = to === Number.MAX_SAFE_INTEGER ? `from ${from}` : `from ${from} to ${to}`
  const read = (value: unknown): number | undefined =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= from && value <= to ? value : undefined
  return { expected: `a whole number ${range}`, suffix: '', read, fromText: numeric }
}

/** A span of time; milliseconds once it is read. */
export function duration(from = '1ms', to?: string): Kind<Duration, number, 'Ms'> {
  const [least, most] = [parseDuration(from, 'from'), to === undefined ? Infinity : parseDuration(to, 'to')]
  const range = to === undefined ? `of at least ${from}` : `of ${from} to ${to}`
  return {
    expected: `a duration ${range}, such as "30s", "1h30m", { minutes: 5 } or a number of milliseconds`,
    suffix: 'Ms',
    fromText: numeric,
    read(value) {
      const ms = readDuration(value)
      return ms !== undefined && ms >= least && ms <= most ? ms : undefined
    },
  }
}

function readDuration(value: unknown): number | undefined {
  try {
    return parseDuration(value, 'value')
  } catch {
    return undefined
  }
}

/** The path of a file or folder; absolute once it is read. */
export const path: Kind<string, string> = {
  expected: 'a path',
  suffix: '',
  fromText: asText,
  read: (value, base) => (typeof value === 'string' && value.trim() !== '' ? absolute(value, base) : undefined),
}

function absolute(value: string, base: string): string {
  return value.startsWith('~/') ? join(homedir(), value.slice(2)) : resolve(base, value)
}

/** Several of a kind. As text: with commas between. A single one needs no list. */
export function list<In, Out>(kind: Kind<In, Out>, plural: string): Kind<In | readonly In[], readonly Out[]> {
  return {
    expected: plural,
    suffix: '',
    fromText: split,
    read(value, base) {
      const parts: readonly unknown[] = Array.isArray(value)
        ? value
        : typeof value === 'string'
          ? split(value)
          : [value]
      const read = parts.map((part) => kind.read(part, base))
      return read.some((part) => part === undefined) ? undefined : (read as Out[])
    },
  }
}

/**
 * Schedules by their ids, as `troupe.schedules.put` takes them. What they send is turned into its name: code has no place in a
 * configuration that is copied and shown. What is wrong with one is found out where its actor is known.
 */
export function scheduleMap<In>(): Kind<In, Readonly<Record<string, Readonly<Record<string, unknown>>>>> {
  return {
    expected:
      'an object with schedules by their ids, each an object such as { cron: "0 8 * * *", send: "mailer.digest" }',
    suffix: '',
    fromText: jsonOrText,
    read(value) {
      if (!isPlain(value)) return undefined
      const entries = Object.entries(value)
      if (!entries.every(([, schedule]) => isPlain(schedule))) return undefined
      return Object.fromEntries(entries.map(([id, schedule]) => [id, named(schedule as Record<string, unknown>)]))
    },
  }
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** `mailer.digest` and `mailer.digest.with(…)` as text, with the payload beside it. */
function named(schedule: Record<string, unknown>): Record<string, unknown> {
  const { send } = schedule
  if (!isPlain(send)) return schedule
  const { ref = send, ...bound } = send as { ref?: unknown; payload?: unknown }
  const { actor, message } = ref as { actor?: unknown; message?: unknown }
  if (typeof actor !== 'string' || typeof message !== 'string') return schedule
  const payload = 'ref' in send && bound.payload !== undefined ? { payload: bound.payload } : {}
  return { ...schedule, ...payload, send: `${actor}.${message}` }
}

/** An nkey seed as it is (`SU…`), or the path of a file that holds one. */
export const seedOrPath: Kind<string, string> = {
  ...path,
  expected: 'an nkey seed or the path of a file with one',
  read: (value, base) =>
    typeof value === 'string' && /^S[A-Z][A-Z2-7]{50,}$/.test(value.trim()) ? value.trim() : path.read(value, base),
}

/** The address of a NATS server; `nats://` where no scheme is given. */
export const address: Kind<string, string> = {
  expected: 'the address of a NATS server such as "nats://localhost:4222"',
  suffix: '',
  fromText: asText,
  read(value) {
    if (typeof value !== 'string' || /\s/.test(value)) return undefined
    const full = value.includes('://') ? value : `nats://${value}`
    const url = URL.canParse(full) ? new URL(full) : undefined
    return url && ['nats:', 'tls:'].includes(url.protocol) && url.hostname !== '' ? full : undefined
  },
}
