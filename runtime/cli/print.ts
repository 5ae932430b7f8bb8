/** What commands print: answers on stdout, notes about them on stderr, so that answers can be piped. */
import { inspect } from 'node:util'

import { printable } from '../logPretty.ts'

export { printable } from '../logPretty.ts'

/** A line of the answer. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** A line about the answer. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** The answer as JSON for programs, on one line. */
export function sayJson(value: unknown): void {
  say(toJson(value))
}

/** JSON of any value: what JSON can't say becomes text, a list or an object; bytes become base64. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, plain, indent) ?? 'null'
}

function plain(this: unknown, key: string, value: unknown): unknown {
  const own = (this as Record<string, unknown>)[key]
  if (own instanceof Uint8Array) return Buffer.from(own).toString('base64')
  if (value instanceof Map) return Object.fromEntries(value)
  if (value instanceof Set) return [...value]
  return typeof value === 'bigint' ? String(value) : value
}

/** A value for people: JSON where that says all, else as Node shows it. */
export function showValue(value: unknown): string {
  if (value === undefined) return 'undefined'
  return isPlainData(value) ? toJson(value, 2) : inspect(value, { depth: 10, maxArrayLength: 1000 })
}

function isPlainData(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'bigint'
  const isPlain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype
  return isPlain && Object.values(value).every(isPlainData)
}

/** Columns under headings; in a terminal the last column is cut to its width. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[], width = lineWidth()): string {
  const cells = [headings, ...rows].map((row) => row.map(printable))
  const widths = headings.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  return cells
    .map((row) =>
      cut(
        row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd(),
        width,
      ),
    )
    .join('\n')
}

function cut(line: string, width: number): string {
  return line.length > width ? `${line.slice(0, width - 1)}…` : line
}

function lineWidth(): number {
  // A terminal that does not know its width says 0.
  return (process.stdout.isTTY && process.stdout.columns) || Infinity
}

/** Names with their values, the values below each other. */
export function fields(pairs: readonly (readonly [string, string])[], indent = ''): string {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs.map(([name, value]) => `${indent}${name.padEnd(width)}  ${value}`).join('\n')
}

/** `1 dead letter`, `3 dead letters`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
