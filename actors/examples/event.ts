/** The payload of a webhook. Written as a Standard Schema by hand: applications would take zod, valibot or arktype. */
import type { StandardSchemaV1 } from '@standard-schema/spec'

/** An event, as an application sends it to `webhooks.deliver`. */
export interface WebhookEvent {
  /** Name of the endpoint that gets it. */
  readonly endpoint: string
  /** What happened, in words with dots: `order.paid`. */
  readonly type: string
  readonly data: unknown
  /** When it happened, RFC 3339. Default: when the message was sent. */
  readonly timestamp?: string
}

export const webhookEvent: StandardSchemaV1<WebhookEvent, WebhookEvent> = {
  '~standard': {
    version: 1,
    vendor: 'troupe-examples',
    validate(value) {
      if (typeof value !== 'object' || value === null) return { issues: [{ message: 'expected an object' }] }
      const issues = problems(value as Record<string, unknown>)
      return issues.length > 0 ? { issues } : { value: value as WebhookEvent }
    },
  },
}

function problems({ endpoint, type, data, timestamp }: Record<string, unknown>): StandardSchemaV1.Issue[] {
  const checks: [path: string, isGood: boolean, expected: string][] = [
    ['endpoint', isWord(endpoint), 'expected the name of an endpoint'],
    ['type', isWord(type), 'expected the type of the event, like "order.paid"'],
    ['data', data !== undefined, 'expected data'],
    ['timestamp', timestamp === undefined || isTime(timestamp), 'expected a time by RFC 3339'],
  ]
  return checks.filter(([, isGood]) => !isGood).map(([path, , message]) => ({ path: [path], message }))
}

function isWord(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function isTime(value: unknown): boolean {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value))
}
