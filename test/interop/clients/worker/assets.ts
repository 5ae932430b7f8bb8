/** What an actor has in JetStream, made by hand: PROTOCOL.md, "What JetStream holds". Nothing of Troupe is imported here. */
import { request, type Wire } from '../wire.ts'

export interface Place {
  readonly namespace: string
  readonly actor: string
  readonly leaseMs: number
}

const NANOS = 1_000_000
const DAY = 86_400_000 * NANOS
/** The stream exists with other settings, which are somebody's decision: it is used as it is. */
const IN_USE = 10058

type Answer = { error?: { code: number; err_code: number; description: string } } & Record<string, unknown>

/** A call of JetStream's API. Throws its refusal. */
export async function api(wire: Wire, call: string, body: unknown = {}): Promise<Answer> {
  const reply = await request(wire, `$JS.API.${call}`, JSON.stringify(body))
  const answer = JSON.parse(Buffer.from(reply.body).toString() || '{}') as Answer
  if (answer.error === undefined) return answer
  throw Object.assign(new Error(`${call}: ${answer.error.description}`), { code: answer.error.err_code })
}

export async function makeAssets(wire: Wire, place: Place): Promise<void> {
  for (const stream of streams(place)) {
    await api(wire, `STREAM.CREATE.${stream.name}`, stream).catch((error: { code?: number }) => {
      if (error.code !== IN_USE) throw error
    })
  }
  for (const { stream, config } of consumers(place)) {
    await api(wire, `CONSUMER.CREATE.${stream}.${config.name}`, { stream_name: stream, config })
  }
}

function streams({ namespace: ns, actor, leaseMs }: Place): ({ name: string } & Record<string, unknown>)[] {
  const common = { storage: 'file', num_replicas: 1, allow_msg_ttl: true, allow_direct: true }
  const shared = { ...common, retention: 'limits' }
  return [
    {
      ...shared,
      name: `${ns}-dead`,
      subjects: [`${ns}.dead.>`],
      description: 'Troupe: dead letters',
      max_age: 30 * DAY,
    },
    {
      ...shared,
      name: `${ns}-ledger`,
      subjects: [`${ns}.ledger.>`],
      description: 'Troupe: the accounts of schedules',
      max_age: 30 * DAY,
    },
    {
      ...shared,
      name: `${ns}-results`,
      subjects: [`${ns}.result.>`],
      description: 'Troupe: kept results',
      max_msgs_per_subject: 1,
    },
    {
      ...shared,
      name: `${ns}-cancels`,
      subjects: [`${ns}.cancel.>`],
      description: 'Troupe: cancels',
      max_age: 7 * DAY,
    },
    {
      ...shared,
      name: `${ns}-marks`,
      subjects: [`${ns}.mark.>`],
      description: 'Troupe: runs that were begun after a redelivery',
      max_msgs_per_subject: 1,
      max_age: 30 * DAY,
    },
    {
      ...common,
      name: `${ns}-mailbox-${actor}`,
      description: `Troupe: the mailbox of actor ${actor}`,
      subjects: ['high', 'do', 'low', 'later'].map((kind) => `${ns}.${kind}.${actor}.>`),
      retention: 'workqueue',
      discard: 'new',
      duplicate_window: 120_000 * NANOS,
    },
    {
      ...common,
      name: `${ns}-timer-${actor}`,
      description: `Troupe: delayed messages and retries of actor ${actor}`,
      subjects: [`${ns}.timer.*.${actor}.>`],
      retention: 'workqueue',
      duplicate_window: Math.max(120_000, 2 * leaseMs) * NANOS,
      allow_msg_schedules: true,
      allow_rollup_hdrs: true,
      metadata: { troupe_salt: Math.random().toString(36).slice(2) },
    },
  ]
}

function consumers({
  namespace: ns,
  actor,
  leaseMs,
}: Place): { stream: string; config: { name: string } & Record<string, unknown> }[] {
  const mailbox = `${ns}-mailbox-${actor}`
  const config = (name: string, filter: string): { name: string } & Record<string, unknown> => ({
    name,
    durable_name: name,
    filter_subject: filter,
    ack_policy: 'explicit',
    deliver_policy: 'all',
    ack_wait: leaseMs * NANOS,
    max_deliver: -1,
    max_ack_pending: -1,
    max_waiting: 4096,
    num_replicas: 1,
  })
  return [
    { stream: mailbox, config: config('high', `${ns}.high.${actor}.>`) },
    { stream: mailbox, config: config('normal', `${ns}.do.${actor}.>`) },
    { stream: mailbox, config: config('low', `${ns}.low.${actor}.>`) },
    { stream: mailbox, config: config('later', `${ns}.later.${actor}.>`) },
    { stream: `${ns}-timer-${actor}`, config: config('due', `${ns}.timer.due.${actor}.>`) },
  ]
}

/** The word in the keys of what timers put into a mailbox. */
export async function saltOf(wire: Wire, { namespace, actor }: Place): Promise<string> {
  const info = await api(wire, `STREAM.INFO.${namespace}-timer-${actor}`)
  return (info['config'] as { metadata?: Record<string, string> }).metadata?.['troupe_salt'] ?? ''
}

/** A stored message as the API gives it. */
export interface StoredMessage {
  readonly seq: number
  readonly subject: string
  readonly hdrs?: string
  readonly data?: string
}

const NO_MESSAGE = 10037

/** The stream leader's message, which is never old: `last_by_subj` or `seq`. */
export async function readStored(wire: Wire, stream: string, which: object): Promise<StoredMessage | undefined> {
  try {
    return (await api(wire, `STREAM.MSG.GET.${stream}`, which))['message'] as StoredMessage
  } catch (error) {
    if ((error as { code?: number }).code === NO_MESSAGE) return undefined
    throw error
  }
}
