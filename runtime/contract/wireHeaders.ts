/** The headers that a sender may set, with the form of each: for contracts. PROTOCOL.md says all that they mean; a test holds the two together. */
import { H } from '../broker/headers.ts'
import { MAX_ID_BYTES } from '../broker/subjects.ts'
import type { JsonSchema } from '../jsonSchema.ts'

const epochMs = (meaning: string): JsonSchema => ({ type: 'string', pattern: '^[0-9]{1,15}$', description: meaning })
const text = (meaning: string): JsonSchema => ({ type: 'string', description: meaning })

/** Of every message. */
export const SENDER_HEADERS: Readonly<Record<string, JsonSchema>> = {
  [H.dedupe]: { ...text("JetStream's dedupe key, and the id where Troupe-Id is absent"), maxLength: MAX_ID_BYTES },
  [H.id]: { ...text('The id, where it is not the dedupe key'), maxLength: MAX_ID_BYTES },
  [H.contentType]: {
    ...text('Format of the body'),
    enum: ['application/json', 'application/msgpack'],
    default: 'application/json',
  },
  [H.reply]: text('Subject for the outcome, below <namespace>.reply.'),
  [H.keep]: text('How long to keep the result, as a duration: 1h'),
  [H.sender]: text("The sender's name, under which results are kept; any where it is absent"),
  [H.expires]: epochMs('Epoch milliseconds after which it is not run'),
  [H.deadline]: epochMs('Epoch milliseconds by which all attempts must be done'),
  [H.retry]: text('Attempts and backoff of this one message, as JSON: {"attempts":3,"backoff":{"base":"1s"}}'),
  [H.root]: text('Id of the message that began this tree'),
  [H.parent]: text('Id of the message whose handler sent this one'),
  [H.traceparent]: text('W3C trace context'),
  [H.tracestate]: text('W3C trace context'),
}

/** Of a message that is sent later, besides those. */
export const LATER_HEADERS: Readonly<Record<string, JsonSchema>> = {
  [H.due]: epochMs('Epoch milliseconds at which to send it'),
  [H.delay]: text('Instead of it: how long after it is stored, as a duration: 10m'),
  [H.lane]: { ...text('Lane to send it to'), enum: ['high', 'normal', 'low'], default: 'normal' },
  [H.replace]: { ...text('true: take the place of the one with this id that still waits'), enum: ['true'] },
}

/** Of an outcome. */
export const OUTCOME_HEADERS: Readonly<Record<string, JsonSchema>> = {
  [H.status]: { ...text('How the message ended'), enum: ['done', 'dead', 'cancelled', 'expired'] },
  [H.id]: text('The id of the message'),
  [H.origin]: text('<stream>:<sequence> of the delivery that ended'),
  [H.contentType]: text('Format of the body'),
}

/** Of a dead letter, besides the headers of the message. */
export const LETTER_HEADERS: Readonly<Record<string, JsonSchema>> = {
  [H.reason]: text(
    'failed, rejected, invalid, unknown-message, poison, deadline, undeliverable, or one of a newer version',
  ),
  [H.error]: text('The error on one line'),
  [H.attempt]: text('Number of the attempt that was its last'),
  [H.worker]: text('Who ran it'),
  [H.subject]: text('The subject that it was sent to'),
  [H.origin]: text('<stream>:<sequence> of the delivery that died'),
  [H.sent]: epochMs('Epoch milliseconds at which it was first stored'),
  [H.detail]: text('JSON: failure, stack, history of earlier attempts'),
  [H.tail]: text('Sequence of the message that holds the end of the body, where it is in two parts'),
}
