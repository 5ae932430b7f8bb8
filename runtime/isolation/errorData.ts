/**
 * Errors as they cross to another thread or process: name, message, stack, cause, and their own fields, `code` among them.
 *
 * Structured clone would keep the first two alone. Classes of the language and of Troupe are found again, so that `instanceof`
 * holds for them; of any other class only the name is left, and whoever has to decide by a class decides where it was thrown.
 */
import {
  AbortedError,
  ActorError,
  BrokerError,
  ConfigError,
  OutcomeError,
  PayloadError,
  UnavailableError,
  describe,
  toError,
} from '../errors.ts'
import { isPlain } from './carry.ts'

export interface ErrorData {
  /** Name of a class that both sides have. */
  readonly type: string | undefined
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly cause?: ErrorData
  /** Of several in one (`AggregateError`). */
  readonly errors?: readonly ErrorData[]
  /** Its own fields, those that can be carried. */
  readonly fields: Readonly<Record<string, unknown>>
}

// oxlint-disable-next-line typescript/no-explicit-any -- named by what they make, whatever that is made from
type ErrorType = abstract new (...args: any[]) => Error

const TYPES = new Map<string, ErrorType>(
  [
    Error,
    TypeError,
    RangeError,
    SyntaxError,
    ReferenceError,
    EvalError,
    URIError,
    AggregateError,
    ConfigError,
    PayloadError,
    ActorError,
    UnavailableError,
    BrokerError,
    OutcomeError,
    AbortedError,
  ].map((type) => [type.name, type]),
)
/** Causes of causes. */
const DEEPEST = 8
/** Text of a stranger's error may be anything long. */
const LONGEST = 64 * 1024

/** Takes whatever was thrown. */
export function toErrorData(thrown: unknown, depth = DEEPEST): ErrorData {
  const error = toError(thrown)
  const { name, message, stack, cause, ...own } = error as Error & Record<string, unknown>
  // Of an AggregateError it is no enumerable field.
  const list: unknown = (error as { errors?: unknown }).errors
  const deeper = depth > 0
  return {
    type: typeOf(error),
    name: text(name),
    message: text(message),
    stack: stack === undefined ? undefined : text(stack),
    fields: Object.fromEntries(Object.entries(own).filter(([, value]) => isPlain(value))),
    ...(cause === undefined || !deeper ? {} : { cause: toErrorData(cause, depth - 1) }),
    ...(Array.isArray(list) && deeper ? { errors: list.map((each) => toErrorData(each, depth - 1)) } : {}),
  }
}

export function fromErrorData({ type, name, message, stack, cause, errors, fields }: ErrorData): Error {
  const error = new Error(message, cause === undefined ? undefined : { cause: fromErrorData(cause) })
  const found = type === undefined ? undefined : TYPES.get(type)
  if (found !== undefined) Object.setPrototypeOf(error, found.prototype as object)
  Object.assign(error, fields)
  if (errors !== undefined) hide(error, 'errors', errors.map(fromErrorData))
  hide(error, 'name', name)
  if (stack !== undefined) hide(error, 'stack', stack)
  return error
}

/** By identity: a class of somebody else's may have the same name. */
function typeOf(error: Error): string | undefined {
  const type = error.constructor as ErrorType
  return TYPES.get(type.name) === type ? type.name : undefined
}

function hide(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: false })
}

/** A name or a message of a JavaScript error may be anything. */
function text(value: unknown): string {
  return (typeof value === 'string' ? value : describe(value)).slice(0, LONGEST)
}
