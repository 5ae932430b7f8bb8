/**
 * Secrets in what is shown: log lines, events, dead letters. A field whose name says that it is one is hidden at any depth,
 * whatever it holds, and so is the login in an address.
 *
 * Names are compared without regard to case, `-`, `_` and spaces, and a word anywhere in a name counts: `token` hides
 * `X-Access-Token`. What a text itself says can't be known: who puts a secret into an error's message shows it.
 */

/** Words that say so in every application. The setting `secrets` adds its own. */
const BUILT_IN = [
  'password',
  'passwd',
  'passphrase',
  'token',
  'secret',
  'authorization',
  'authorisation',
  'apikey',
  'privatekey',
  'credential',
  'seed',
  'cookie',
]

/** What stands in their place. */
export const HIDDEN = '[hidden]'

/** Names that were judged already: objects have the same names again and again. */
const REMEMBERED = 2_000

export class Secrets {
  readonly #words: readonly string[]
  readonly #known = new Map<string, boolean>()

  /** `words` are hidden beside the built-in ones. */
  constructor(words: readonly string[] = []) {
    this.#words = [...BUILT_IN, ...words.map(plain).filter((word) => word !== '')]
  }

  /** Whether what a field or header of that name holds is to be hidden. */
  isSecret(name: string): boolean {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const word = plain(name)
    const is = this.#words.some((secret) => word.includes(secret))
    // Strangers may make up as many names as they like.
    if (this.#known.size >= REMEMBERED) this.#known.clear()
    this.#known.set(name, is)
    return is
  }

  /** JSON of a value with its secrets hidden. Throws where JSON.stringify does: cycles, bigints. */
  toJson(value: unknown): string | undefined {
    return JSON.stringify(value, (name, field: unknown) => {
      if (typeof field === 'string') return this.isSecret(name) ? HIDDEN : hideLogin(field)
      return name !== '' && field !== undefined && this.isSecret(name) ? HIDDEN : field
    })
  }

  /** A copy of data (objects, lists, maps, sets) with its secrets hidden; anything else in it stays what it is. */
  hide(value: unknown): unknown {
    return this.#hide(value, [])
  }

  /** The same of a flat object: headers. */
  hideFields(fields: Readonly<Record<string, string>>): Record<string, string> {
    const shown = Object.entries(fields).map(([name, value]) => [name, this.isSecret(name) ? HIDDEN : hideLogin(value)])
    return Object.fromEntries(shown) as Record<string, string>
  }

  #hide(value: unknown, above: readonly object[]): unknown {
    if (typeof value === 'string') return hideLogin(value)
    if (typeof value !== 'object' || value === null) return value
    if (above.includes(value) || above.length > DEEPEST) return '[deep]'
    const within = [...above, value]
    if (Array.isArray(value)) return value.map((item) => this.#hide(item, within))
    if (value instanceof Set) return new Set(Array.from(value, (item) => this.#hide(item, within)))
    if (value instanceof Map) {
      const entries = Array.from(value as Map<unknown, unknown>)
      return new Map(entries.map(([key, item]) => [key, this.#hideField(String(key), item, within)]))
    }
    if (!isPlain(value)) return value
    const entries = Object.entries(value).map(([key, item]) => [key, this.#hideField(key, item, within)])
    return Object.fromEntries(entries) as unknown
  }

  #hideField(name: string, value: unknown, above: readonly object[]): unknown {
    return this.isSecret(name) ? HIDDEN : this.#hide(value, above)
  }
}

/** Without words of an application's own. */
export const builtInSecrets = new Secrets()

/** Deeper than any payload that is decoded (codec/survey.ts). */
const DEEPEST = 1_000

/** `nats://user:password@host` without the part before the `@`. */
export function hideLogin(text: string): string {
  return text.includes('@') ? text.replaceAll(/:\/\/[^\s/]+@/g, `://${HIDDEN}@`) : text
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[-_\s]/g, '')
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
