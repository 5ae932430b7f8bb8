/** Dead letters as they are printed. */
import { H } from '../../broker/headers.ts'
import type { DeadLetter } from '../../client/dead.ts'
import { describeCrash, type CrashReport } from '../../isolation/crash.ts'
import { fields, printable, showValue, table } from '../print.ts'

const headings = ['SEQUENCE', 'ID', 'MESSAGE', 'REASON', 'ATTEMPTS', 'DIED', 'ERROR']

/** One a line. */
export function letterTable(letters: readonly DeadLetter[]): string {
  return table(headings, letters.map(row))
}

function row({ sequence, id, actor, message, reason, attempts, diedAt, failure }: DeadLetter): string[] {
  const error = `${failure.name}: ${failure.message}`
  return [String(sequence), id, `${actor}.${message}`, reason, String(attempts), diedAt.toISOString(), error]
}

/** For programs: the payload decoded, or the bytes in base64 where they could not be. */
export function letterData({ body, ...letter }: DeadLetter): Record<string, unknown> {
  return letter.payload === undefined ? { ...letter, body } : letter
}

/** All of one. */
export function letterText(letter: DeadLetter): string {
  const { id, actor, message, sequence, reason, failure, attempts, worker, diedAt, sentAt, origin, subject } = letter
  const facts: [string, string | undefined][] = [
    ['message', `${actor}.${message}`],
    ['id', id],
    ['sequence', String(sequence)],
    ['reason', reason],
    ['error', `${failure.name}: ${failure.message}`],
    ['code', failure.code],
    ['attempts', String(attempts)],
    ['sent', sentAt?.toISOString()],
    ['died', diedAt.toISOString()],
    ['worker', worker],
    ['subject', subject],
    ['origin', origin],
  ]
  const pairs = facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, printable(value)] as const]))
  return [fields(pairs), ...sections(letter)].join('\n\n')
}

/** Headers that hold what the other lines say. */
const told = new Set<string>([H.detail, H.history])

function sections(letter: DeadLetter): string[] {
  const { failure, history, crashes, stack, headers } = letter
  const issues = (failure.issues ?? []).map(({ path, message }) => `${path}: ${message}`)
  const lines: [string, readonly string[]][] = [
    ['issues', issues],
    ['earlier attempts', history.map((attempt) => JSON.stringify(attempt))],
    ['crashes', crashes.flatMap(crashLines)],
    ['stack', stack?.split('\n') ?? []],
    ['headers', Object.entries(headers).flatMap(([name, value]) => (told.has(name) ? [] : [`${name}: ${value}`]))],
    ['payload', payloadLines(letter)],
  ]
  return lines
    .filter(([, of]) => of.length > 0)
    .map(([name, of]) => [name, ...of.map((line) => `  ${printable(line)}`)].join('\n'))
}

function crashLines(crash: CrashReport): string[] {
  const { at, member, pid, error = '', stderr = '' } = crash
  const where = pid === undefined ? member : `${member}, pid ${pid}`
  const stack = error.split('\n').slice(1)
  return [`${at} ${where}: ${describeCrash(crash)}`, ...stack, ...stderr.trimEnd().split('\n')].filter(
    (line) => line !== '',
  )
}

function payloadLines({ payload, body }: DeadLetter): string[] {
  if (payload !== undefined) return showValue(payload).split('\n')
  if (body.length === 0) return ['not what its content type says; --reveal shows the bytes']
  return [
    `${body.length} bytes that are not what their content type says, in base64:`,
    Buffer.from(body).toString('base64'),
  ]
}
