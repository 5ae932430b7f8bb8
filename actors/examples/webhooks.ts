/**
 * A webhook deliverer: one message is one event, posted to one endpoint, signed by the Standard Webhooks scheme.
 *
 * | the endpoint answers          | outcome                                                       |
 * | 2xx                           | done                                                          |
 * | 408, 425, 429, 5xx            | retry by the rule, or after its Retry-After                   |
 * | not at all, or not in time    | retry by the rule                                             |
 * | 410                           | dead letter: it wants no more events                          |
 * | any other 4xx, a redirect     | dead letter with the reason: sending it again changes nothing |
 *
 * Messages name their endpoint; where that is and its secrets come from the application, so that neither secrets nor addresses
 * of a stranger's choice travel through NATS. Delivery is at least once: `webhook-id` is the message's id in every attempt, and
 * receivers know a repeat by it.
 */
import { ConfigError, dead, defineActor, retry } from '../../runtime/index.ts'
import type { Context, Duration, RetryOptions, Verdict } from '../../runtime/index.ts'
import { webhookEvent, type WebhookEvent } from './event.ts'
import { signatureHeaders } from './signature.ts'

/** Where events of one receiver go. */
export interface Endpoint {
  readonly url: string
  /** `whsec_…`, newest first. While one is replaced, both sign. */
  readonly secrets: readonly string[]
}

export interface WebhookOptions {
  /** Where the endpoint of that name is, or undefined where there is none. */
  endpoint(name: string): Endpoint | undefined | Promise<Endpoint | undefined>
  /** Longest time until an endpoint has answered. Default 15 s. */
  timeout?: Duration
  /** Default: 8 attempts in about a day: after 5 s, then five times as long each time, at most 10 hours. */
  retry?: RetryOptions
  /** Deliveries at once in one worker. Default 50. */
  concurrency?: number
}

/** What the sender of a delivered event gets. */
export interface Delivered {
  readonly status: number
  readonly attempt: number
}

/** The actor `webhooks` with its message `deliver`. */
export function webhookDeliverer(options: WebhookOptions) {
  const { timeout = '15s', concurrency = 50 } = options
  return defineActor('webhooks', {
    description: 'posts events to endpoints, signed by the Standard Webhooks scheme',
    concurrency,
    // A secret that is none stays none: no reason to try again.
    retry: { attempts: 8, backoff: RETRIES, except: [ConfigError], ...options.retry },
    messages: {
      deliver: {
        payload: webhookEvent,
        timeLimit: timeout,
        async handle(event: WebhookEvent, ctx: Context): Promise<Delivered | Verdict> {
          const endpoint = await options.endpoint(event.endpoint)
          if (endpoint === undefined) return dead(`there is no endpoint ${JSON.stringify(event.endpoint)}`)
          if (!isHttp(endpoint.url))
            return dead(`expected an address that begins with http(s)://, got: ${endpoint.url}`)
          return verdictOn(await post(endpoint, event, ctx), ctx)
        },
      },
    },
  })
}

const RETRIES = { base: '5s', factor: 5, max: '10h', jitter: 0.2 }
/** Of an answer's body, so much is read: it may say why. */
const MOST_READ = 1_024
/** No endpoint can put its events off for longer. */
const LONGEST_WAIT_S = 86_400
/** Answers that may be others next time, besides 5xx. */
const TRANSIENT = new Set([408, 425, 429])

/** An answer without its stream. */
interface Answer {
  readonly status: number
  readonly retryAfter: string | null
  readonly text: string
}

/** Throws where no answer came: refused, reset, no such host, or `ctx.signal` at the time limit. */
async function post({ url, secrets }: Endpoint, event: WebhookEvent, ctx: Context): Promise<Answer> {
  const { type, data, timestamp = ctx.sent.toISOString() } = event
  const body = JSON.stringify({ type, timestamp, data })
  const signed = { id: encodeURI(ctx.id), timestamp: Math.floor(ctx.now().getTime() / 1000), body }
  const headers = { 'content-type': 'application/json', ...signatureHeaders(secrets, signed) }
  // A redirect could lead a signed event anywhere, and into our own network.
  const request = { method: 'POST', headers, body, redirect: 'manual', signal: ctx.signal } as const
  const response = await fetch(url, request).catch((error: unknown) => {
    throw noAnswer(event.endpoint, error)
  })
  const { status, ok } = response
  // It took the event: however its body goes on, that stands.
  if (ok) await response.body?.cancel()
  return { status, retryAfter: response.headers.get('retry-after'), text: ok ? '' : await readSome(response) }
}

/** `fetch` says "fetch failed"; why is in the cause. */
function noAnswer(endpoint: string, error: unknown): Error {
  const { cause = error } = error as { cause?: unknown }
  const { code, message } = cause as { code?: string; message?: string }
  return new Error(`no answer from endpoint ${endpoint}: ${message || code}`, { cause: error })
}

function verdictOn({ status, retryAfter, text }: Answer, ctx: Context): Delivered | Verdict {
  if (status >= 200 && status < 300) return { status, attempt: ctx.attempt }
  const reason = text === '' ? `the endpoint answered ${status}` : `the endpoint answered ${status}: ${text}`
  if (status === 410) return dead(`${reason} (gone: it wants no more events)`)
  if (status >= 500 || TRANSIENT.has(status)) return retry({ reason, ...waitOf(retryAfter, ctx.now()) })
  return dead(status >= 300 && status < 400 ? `${reason} (redirects are not followed)` : reason)
}

/** `Retry-After` (RFC 9110, 10.2.3) is seconds or a date; what is neither, or not ahead, leaves the wait to the retry rule. */
function waitOf(retryAfter: string | null, now: Date): { after?: Duration } {
  if (retryAfter === null) return {}
  const isCount = /^\d{1,9}$/.test(retryAfter)
  const seconds = isCount ? Number(retryAfter) : (Date.parse(retryAfter) - now.getTime()) / 1000
  return seconds > 0 ? { after: { seconds: Math.min(Math.ceil(seconds), LONGEST_WAIT_S) } } : {}
}

/** The beginning of the body on one line. The rest is not waited for, however much there is. */
async function readSome({ body }: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk.subarray(0, MOST_READ), { stream: true })
    if (text.length >= MOST_READ) break
  }
  return text.slice(0, MOST_READ).replaceAll(/\s+/g, ' ').trim()
}

function isHttp(url: string): boolean {
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
}
