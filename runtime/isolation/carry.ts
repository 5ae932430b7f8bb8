/**
 * Values that cross to another thread or process by structured clone.
 *
 * It carries plain objects, arrays, dates, maps, sets, bytes, bigints. An instance of a class arrives as a plain object, without a
 * word: a decimal number, a date of some library would change what is stored. So such values are found here. What is on its
 * way into a message or a result is then made what its receiver would get; what a schema made for a handler is refused.
 */
import { decode, encode, type ContentType } from '../codec/codec.ts'
import { ConfigError } from '../errors.ts'

const DEEPEST = 1_000

/** Whether structured clone carries all of it as it is. A function, a symbol, a class's instance, a cycle: no. */
export function isPlain(value: unknown, depth = DEEPEST): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'function' && typeof value !== 'symbol'
  if (depth === 0) return false
  if (Array.isArray(value)) return value.every((each) => isPlain(each, depth - 1))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return arePlain(Object.values(value), depth)
  if (value instanceof Map) return arePlain(value.keys(), depth) && arePlain(value.values(), depth)
  if (value instanceof Set) return arePlain(value, depth)
  return value instanceof Date || ArrayBuffer.isView(value) || value instanceof ArrayBuffer
}

function arePlain(values: Iterable<unknown>, depth: number): boolean {
  for (const value of values) if (!isPlain(value, depth - 1)) return false
  return true
}

/** A value as its receiver will have it. Throws `PayloadError` `UNENCODABLE` where its format has no form for it. */
export function asReceived(contentType: ContentType, value: unknown): unknown {
  return isPlain(value) ? value : decode(contentType, encode(contentType, value))
}

/** Throws `ConfigError` `NOT_CARRIED` for a payload of which a part would get lost on the way to a handler. */
export function checkCarried(actor: string, message: string, payload: unknown): void {
  if (isPlain(payload)) return
  const where = locate(payload, 'payload') ?? 'payload'
  const text = `expected the payload of ${actor}.${message} to be data that a thread or process can be given (plain objects, arrays, dates, maps, sets, bytes), but ${where} is not. A schema or a middleware made it so: let the handler do that.`
  throw new ConfigError('NOT_CARRIED', text, { data: { actor, message, where } })
}

/** The deepest place that is to blame: `payload.items[2].price`. */
function locate(value: unknown, path: string, depth = DEEPEST): string | undefined {
  if (isPlain(value)) return undefined
  if (depth === 0 || typeof value !== 'object' || value === null) return path
  const steps = Array.isArray(value)
    ? value.map((each: unknown, index) => [`${path}[${index}]`, each] as const)
    : Object.entries(value).map(([key, each]) => [`${path}.${key}`, each as unknown] as const)
  for (const [step, each] of steps) {
    const found = locate(each, step, depth - 1)
    if (found !== undefined) return found
  }
  return path
}
