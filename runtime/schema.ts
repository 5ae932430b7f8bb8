/** Payload schemas of any library that speaks Standard Schema (https://standardschema.dev): zod, valibot, arktype, … */

import type { StandardSchemaV1 } from '@standard-schema/spec'

import { PayloadError, toError } from './errors.ts'
import { builtInSecrets, HIDDEN, type Secrets } from './secrets.ts'

/** One thing that a schema refuses, and where: `items[2].name`; the path of the whole payload is empty. */
export interface Issue {
  readonly path: string
  readonly message: string
}

/** A payload as its schema wants it (with defaults and transforms applied), or what is wrong with it. */
export type Validation<T> = { readonly value: T; readonly issues?: undefined } | { readonly issues: readonly Issue[] }

/**
 * Runs a schema over a value. The result is a promise only where the schema's is. A schema that throws is an issue of the
 * whole payload, not an exception: user code in schemas meets hostile input first.
 */
export function validate<S extends StandardSchemaV1>(
  schema: S,
  value: unknown,
): Validation<StandardSchemaV1.InferOutput<S>> | Promise<Validation<StandardSchemaV1.InferOutput<S>>> {
  try {
    const result = schema['~standard'].validate(value)
    return isPromise(result) ? result.then(toValidation, thrown) : toValidation(result)
  } catch (error) {
    return thrown(error)
  }
}

// `instanceof Promise` is not enough: a schema may come from another realm or return any thenable.
function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return value instanceof Promise || typeof (value as { then?: unknown }).then === 'function'
}

function toValidation<T>(result: StandardSchemaV1.Result<unknown>): Validation<T> {
  if (result.issues === undefined) return { value: result.value as T }
  return { issues: result.issues.map(({ path, message }) => ({ path: formatPath(path ?? []), message })) }
}

function thrown(error: unknown): { issues: readonly Issue[] } {
  return { issues: [{ path: '', message: `the schema threw: ${toError(error).message}` }] }
}

const plainKey = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u

function formatPath(path: readonly (PropertyKey | StandardSchemaV1.PathSegment)[]): string {
  return path.reduce<string>((text, segment) => {
    const key = typeof segment === 'object' ? segment.key : segment
    if (typeof key === 'number') return `${text}[${key}]`
    const word = String(key)
    if (!plainKey.test(word)) return `${text}[${JSON.stringify(word)}]`
    return text === '' ? word : `${text}.${word}`
  }, '')
}

const shownIssues = 10

function isAboutSecret({ path }: Issue, secrets: Secrets): boolean {
  return path.split(/[.[\]"]+/).some((name) => secrets.isSecret(name))
}

/**
 * The error of a payload that a schema refuses: code `INVALID_PAYLOAD`; the first ten issues in the text, all in `data.issues`.
 *
 * @param actor whose message it is
 * @param message the message's name
 * @param secrets what is wrong with a field that is named like one is not told
 */
export function payloadError(
  actor: string,
  message: string,
  found: readonly Issue[],
  secrets: Secrets = builtInSecrets,
): PayloadError {
  // Some libraries say what came.
  const issues = found.map((issue) => (isAboutSecret(issue, secrets) ? { ...issue, message: HIDDEN } : issue))
  const shown = issues.slice(0, shownIssues).map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
  const more = issues.length > shownIssues ? `; and ${issues.length - shownIssues} more` : ''
  const text = `expected a payload that the schema of ${actor}.${message} accepts, got: ${shown.join('; ')}${more}`
  return new PayloadError('INVALID_PAYLOAD', text, { data: { actor, message, issues } })
}
