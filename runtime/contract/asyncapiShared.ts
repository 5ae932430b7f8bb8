/** What every AsyncAPI document of ours has: outcomes, answers, cancels, dead letters, events. */
import type { JsonSchema } from '../jsonSchema.ts'
import { LATER_HEADERS, LETTER_HEADERS, OUTCOME_HEADERS, SENDER_HEADERS } from './wireHeaders.ts'

export type Entries = Record<string, JsonSchema>

export const ref = (pointer: string): JsonSchema => ({ $ref: pointer })

const failure: JsonSchema = {
  type: 'object',
  description: 'Why it did not end as done',
  required: ['name', 'message'],
  properties: {
    name: { type: 'string' },
    message: { type: 'string' },
    code: { type: 'string' },
    attempts: { type: 'integer', minimum: 1 },
    issues: {
      type: 'array',
      items: { type: 'object', properties: { path: { type: 'string' }, message: { type: 'string' } } },
    },
  },
}

export const SHARED_SCHEMAS: Entries = {
  failure,
  senderHeaders: { type: 'object', properties: SENDER_HEADERS },
  laterHeaders: {
    type: 'object',
    properties: { ...SENDER_HEADERS, ...LATER_HEADERS },
    anyOf: [{ required: ['Troupe-Due'] }, { required: ['Troupe-Delay'] }],
  },
  outcomeHeaders: {
    type: 'object',
    properties: OUTCOME_HEADERS,
    required: ['Troupe-Status', 'Troupe-Id', 'Troupe-Origin'],
  },
  letterHeaders: { type: 'object', properties: LETTER_HEADERS, required: ['Troupe-Reason', 'Troupe-Error'] },
  answerHeaders: {
    type: 'object',
    properties: {
      'Nats-Service-Error-Code': {
        type: 'string',
        description: 'Present where the call failed: 400, 408, 422, 429, 500, 503',
      },
      'Nats-Service-Error': { type: 'string', description: 'Why' },
      'Content-Type': OUTCOME_HEADERS['Content-Type'] ?? {},
    },
  },
}

export const SHARED_MESSAGES: Entries = {
  outcome: {
    name: 'outcome',
    summary: "How a message ended: the handler's value, or a failure",
    headers: ref('#/components/schemas/outcomeHeaders'),
    payload: {},
  },
  answer: {
    name: 'answer',
    summary: 'The answer to a live call',
    headers: ref('#/components/schemas/answerHeaders'),
    payload: {},
  },
  cancel: {
    name: 'cancel',
    summary: 'What to cancel: all that is given must match',
    headers: { type: 'object', properties: { 'Troupe-Reply': SENDER_HEADERS['Troupe-Reply'] ?? {} } },
    payload: {
      type: 'object',
      properties: {
        id: { type: 'string' },
        message: { type: 'string' },
        root: { type: 'string' },
        header: {
          type: 'object',
          required: ['name', 'value'],
          properties: { name: { type: 'string' }, value: { type: 'string' } },
        },
        reason: { type: 'string' },
      },
    },
  },
  deadLetter: {
    name: 'deadLetter',
    summary: 'A message that is not tried again by itself: its body as sent, its headers, why it died',
    headers: ref('#/components/schemas/letterHeaders'),
    payload: {},
  },
  event: {
    name: 'event',
    summary: 'What happened to a message',
    payload: {
      type: 'object',
      required: ['id', 'actor', 'message', 'attempt', 'worker', 'at'],
      properties: {
        id: { type: 'string' },
        actor: { type: 'string' },
        message: { type: 'string' },
        attempt: { type: 'integer' },
        worker: { type: 'string' },
        at: { type: 'string', format: 'date-time' },
        failure: ref('#/components/schemas/failure'),
      },
    },
  },
}
