/** A log record for people at a terminal: time, level, message, fields, and stacks below. */
import type { LogRecord, RecordLevel } from './log.ts'

const colours: Readonly<Record<RecordLevel | 'dim', number>> = { debug: 90, info: 32, warn: 33, error: 31, dim: 90 }

/** `at` is RFC 3339. Colours only where the terminal has them. */
export function prettyLine(isColoured: boolean): (record: LogRecord, at: string) => string {
  const paint = (colour: number, text: string): string => (isColoured ? `\u001B[${colour}m${text}\u001B[39m` : text)
  return ({ level, message, fields }, at) => {
    const time = paint(colours.dim, at.slice(11, 23))
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
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
