/**
 * Looks over a value before it is encoded. Encoders are lenient in ways that lose data without a word: JSON makes `{}` of a Map
 * and of a forgotten promise, and leaves functions out. Here such values are found, and named with their path.
 *
 * `survey` runs for every message: it answers in one number and knows no paths. `locate` runs only where something was refused.
 */

/** Nothing but JSON's own values, dates, and objects with their own `toJSON`. */
export const plain = 0
/** JSON has no form for it: Map, Set, bigint, bytes. */
export const beyondJson = 1
/** It is converted before MessagePack carries it: Map, Set, bigint, what has its own `toJSON`. */
export const extended = 2
/** No format takes it: a function, a symbol, a promise, an error, a cycle, too deep. */
export const refused = 4

/** Containers in containers: deeper values are refused, so that nobody who walks a payload runs out of stack. */
export const maxDepth = 1000

/** All that is in a value, as a sum of the flags above. */
export function survey(value: unknown, depth = maxDepth): number {
  if (typeof value !== 'object') return leafFlags(value)
  if (value === null) return plain
  if (depth === 0) return refused
  if (Array.isArray(value)) return surveyAll(value, depth)
  return value.constructor === Object && !hasToJson(value) ? surveyObject(value, depth) : surveyInstance(value, depth)
}

function leafFlags(value: unknown): number {
  if (typeof value === 'bigint') return beyondJson | extended
  return typeof value === 'function' || typeof value === 'symbol' ? refused : plain
}

function surveyAll(values: Iterable<unknown>, depth: number): number {
  let flags = plain
  for (const value of values) flags |= survey(value, depth - 1)
  return flags
}

function surveyObject(value: object, depth: number): number {
  let flags = plain
  for (const key in value) {
    const child = (value as Record<string, unknown>)[key]
    if (typeof child !== 'string' && typeof child !== 'number') flags |= survey(child, depth - 1)
  }
  return flags
}

function surveyInstance(value: object, depth: number): number {
  const flags = instanceFlags(value)
  if (value instanceof Map) return flags | surveyAll(value.keys(), depth) | surveyAll(value.values(), depth)
  if (value instanceof Set) return flags | surveyAll(value, depth)
  return flags === plain && !isOpaque(value) ? surveyObject(value, depth) : flags
}

const refusedClasses = [Error, Promise, RegExp, ArrayBuffer, WeakMap, WeakSet, WeakRef]

function instanceFlags(value: object): number {
  if (value instanceof Map || value instanceof Set) return beyondJson | extended
  if (value instanceof Uint8Array) return beyondJson
  if (value instanceof Date) return plain
  if (hasToJson(value)) return extended
  return ArrayBuffer.isView(value) || refusedClasses.some((type) => value instanceof type) ? refused : plain
}

function isOpaque(value: object): boolean {
  return value instanceof Uint8Array || hasToJson(value)
}

/** Whether a value says itself how it is encoded. */
export function hasToJson(value: object): value is { toJSON(): unknown } {
  return typeof (value as { toJSON?: unknown }).toJSON === 'function'
}

/** Where something stands that can't be encoded, and what it is. */
export interface Offender {
  /** `items[2].total`; empty for the value itself. */
  readonly path: string
  /** `a function`, `a Map`, … */
  readonly what: string
}

/** The first part of a value whose flags are among `unwanted`. */
export function locate(
  value: unknown,
  unwanted: number,
  path = '',
  above: readonly object[] = [],
): Offender | undefined {
  if (typeof value !== 'object' || value === null) {
    return (leafFlags(value) & unwanted) === 0 ? undefined : { path, what: `a ${typeof value}` }
  }
  if (above.includes(value)) return { path, what: 'a reference to an object that contains it (a cycle)' }
  if (above.length === maxDepth) return { path: shorten(path), what: `a value nested deeper than ${maxDepth} levels` }
  if ((instanceFlags(value) & unwanted) !== 0) return { path, what: `a value of class ${tag(value)}` }
  if (isOpaque(value)) return undefined
  for (const [step, child] of children(value, path)) {
    const found = locate(child, unwanted, step, [...above, value])
    if (found !== undefined) return found
  }
  return undefined
}

function* children(value: object, path: string): Iterable<readonly [string, unknown]> {
  if (Array.isArray(value) || value instanceof Set) {
    for (const [index, child] of Array.from(value as Iterable<unknown>).entries()) yield [`${path}[${index}]`, child]
  } else if (value instanceof Map) {
    for (const [key, child] of value) {
      yield [`${path}[key of a Map]`, key]
      yield [`${path}[${JSON.stringify(typeof key === 'string' ? key : typeof key)}]`, child]
    }
  } else {
    for (const [key, child] of Object.entries(value)) yield [path === '' ? key : `${path}.${key}`, child]
  }
}

function tag(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1)
}

function shorten(path: string): string {
  return path.length > 80 ? `${path.slice(0, 79)}…` : path
}
