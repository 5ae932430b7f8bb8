/** Sizes of memory as users write them, read once into whole bytes. */
import { ConfigError, describe } from './errors.ts'

/** A number of bytes, or text: `'512MB'`, `'1.5GB'`, `'64KiB'`. Units count in 1024s, as operating systems do for memory. */
export type Size = number | string

const unitBytes: Readonly<Record<string, number>> = {
  b: 1,
  kb: 2 ** 10,
  kib: 2 ** 10,
  mb: 2 ** 20,
  mib: 2 ** 20,
  gb: 2 ** 30,
  gib: 2 ** 30,
}
const sizeText = /^(\d+(?:\.\d+)?)\s*([kmg]?i?b)$/i

/**
 * A size as whole bytes.
 *
 * @param name what the value is called where the user wrote it: `thumbnails.memoryLimit`
 * @throws ConfigError `INVALID_OPTION`
 */
export function parseSize(value: unknown, name: string): number {
  const bytes = Math.round(measure(value))
  if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes
  const text = `expected ${name} to be a size such as "512MB", "1.5GB" or a number of bytes, got: ${describe(value)}`
  throw new ConfigError('INVALID_OPTION', text, { data: { name } })
}

function measure(value: unknown): number {
  if (typeof value === 'number') return value
  const [, amount = '', unit = ''] = typeof value === 'string' ? (sizeText.exec(value.trim()) ?? []) : []
  return Number.parseFloat(amount) * (unitBytes[unit.toLowerCase()] ?? NaN)
}

/** `512MB`: for people, rounded. */
export function formatSize(bytes: number): string {
  const [unit, size] = bytes >= 2 ** 30 ? ['GB', 2 ** 30] : bytes >= 2 ** 20 ? ['MB', 2 ** 20] : ['KB', 2 ** 10]
  const amount = bytes / size
  return `${amount >= 100 ? Math.round(amount) : Math.round(amount * 10) / 10}${unit}`
}
