/** Fields of a log record as they may be written: secrets hidden, cycles and what is too deep cut, everything else in its shortest useful form. */
import { HIDDEN, hideLogin, type Secrets } from './secrets.ts'

const deepest = 8
const longestList = 100

/** A copy that JSON can write. Throws where a field itself throws when it is read. */
export function cleanFields(fields: Readonly<Record<string, unknown>>, secrets: Secrets): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(fields)) copy[key] = secrets.isSecret(key) ? HIDDEN : clean(fields[key], [], secrets)
  return copy
}

function clean(value: unknown, above: readonly object[], secrets: Secrets): unknown {
  if (typeof value === 'string') return hideLogin(value)
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`
  if (typeof value !== 'object' || value === null) return value
  if (above.includes(value)) return '[circular]'
  if (above.length >= deepest) return '[deep]'
  try {
    return cleanObject(value, [...above, value], secrets)
  } catch {
    return '[unreadable]'
  }
}

function cleanObject(value: object, above: readonly object[], secrets: Secrets): unknown {
  if (value instanceof Uint8Array) return `[${value.length} bytes]`
  if (value instanceof Error) return cleanError(value, above, secrets)
  if (value instanceof Map) {
    const entries = Array.from(value as Map<unknown, unknown>, ([key, child]) => [String(key), child] as const)
    return cleanEntries(entries, above, secrets)
  }
  if (Array.isArray(value) || value instanceof Set) {
    const all = Array.from(value as Iterable<unknown>)
    const shown = all.slice(0, longestList).map((child) => clean(child, above, secrets))
    return all.length > longestList ? [...shown, `[${all.length - longestList} more]`] : shown
  }
  if ('toJSON' in value && typeof value.toJSON === 'function')
    return clean((value as { toJSON(): unknown }).toJSON(), above, secrets)
  return cleanEntries(Object.entries(value), above, secrets)
}

function cleanError(error: Error, above: readonly object[], secrets: Secrets): unknown {
  const { name, message, stack, cause } = error
  const own = Object.entries(error).filter(([key]) => key !== 'name' && key !== 'cause')
  const all: [string, unknown][] = [['name', name], ['message', message], ['stack', stack], ...own]
  return cleanEntries(cause === undefined ? all : [...all, ['cause', cause]], above, secrets)
}

function cleanEntries(
  entries: readonly (readonly [string, unknown])[],
  above: readonly object[],
  secrets: Secrets,
): unknown {
  return Object.fromEntries(
    entries.map(([key, child]) => [key, secrets.isSecret(key) ? HIDDEN : clean(child, above, secrets)]),
  )
}
