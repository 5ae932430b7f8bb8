/**
 * Every subject and every name in JetStream is built and parsed here, and nowhere else (DESIGN sections 3 and 4).
 *
 * A subject token that holds a user's text (a message id, an unknown message's name) is percent-encoded: dots, spaces,
 * `*`, `>`, `%` and everything outside printable ASCII would otherwise change what the subject means.
 */
import { ConfigError, PayloadError, describe } from '../errors.ts'
import { formatPlanned, readPlanned } from '../time/planned.ts'

/** The three queues of a mailbox, highest first. */
export const LANES = ['high', 'normal', 'low'] as const
export type Lane = (typeof LANES)[number]

/** What stands as second token for a lane. `normal` is `do`: the subject that people type by hand. */
const LANE_TOKENS: Readonly<Record<Lane, string>> = { high: 'high', normal: 'do', low: 'low' }
const TOKEN_LANES = new Map<string, Lane>(LANES.map((lane) => [LANE_TOKENS[lane], lane]))

const NAME = /^[a-zA-Z][a-zA-Z0-9_-]{0,63}$/
const NAMESPACE = /^[a-zA-Z][a-zA-Z0-9_]{0,63}$/
const RESERVED = new Set(['system', 'all'])
/** Longest message id, in bytes of UTF-8 (DESIGN section 3). */
export const MAX_ID_BYTES = 200
/** A token longer than this is cut by its writer: a stream's index would carry it for ever. */
const MAX_TOKEN = 3 * MAX_ID_BYTES

/** Throws `ConfigError` `INVALID_NAME` unless `name` can be an actor's or a message's name. */
export function checkName(name: unknown, what: 'actor' | 'message' | 'supervisor'): string {
  if (typeof name !== 'string' || !NAME.test(name)) {
    const expected = `a letter followed by letters, digits, "_" or "-", at most 64 in all`
    throw new ConfigError('INVALID_NAME', `expected the ${what}'s name to be ${expected}, got: ${describe(name)}`)
  }
  if (RESERVED.has(name)) {
    throw new ConfigError('INVALID_NAME', `expected another name for the ${what}: ${describe(name)} is reserved`)
  }
  return name
}

/** Throws `ConfigError` `INVALID_NAME` unless `name` can be a namespace. */
export function checkNamespace(name: unknown): string {
  if (typeof name === 'string' && NAMESPACE.test(name)) return name
  const expected = 'a letter followed by letters, digits or "_" (no "-"), at most 64 in all'
  throw new ConfigError('INVALID_NAME', `expected namespace to be ${expected}, got: ${describe(name)}`)
}

/** Throws `PayloadError` `INVALID_ID` unless `id` is text of 1 to 200 bytes. */
export function checkId(id: unknown): string {
  if (typeof id === 'string' && id.length > 0 && Buffer.byteLength(id) <= MAX_ID_BYTES) return id
  const got = typeof id === 'string' ? `${Buffer.byteLength(id)} bytes` : describe(id)
  throw new PayloadError('INVALID_ID', `expected id to be text of 1 to ${MAX_ID_BYTES} bytes, got: ${got}`)
}

/** A user's text as one subject token. */
export function encodeToken(text: string): string {
  if (/^[a-zA-Z0-9_:@/+=,;~-]+$/.test(text) && text.length <= MAX_TOKEN) return text
  let token = ''
  for (const byte of Buffer.from(text)) token += SAFE_BYTES[byte] ?? ''
  return token.length > MAX_TOKEN ? `${token.slice(0, MAX_TOKEN)}~cut` : token === '' ? '%' : token
}

const SAFE_BYTES = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCodePoint(byte)
  const hex = byte.toString(16).toUpperCase().padStart(2, '0')
  return /[a-zA-Z0-9_:@/+=,;~-]/.test(character) ? character : `%${hex}`
})

/** The text that `encodeToken` made a token of. A token that was not made by it comes back as it is. */
export function decodeToken(token: string): string {
  if (!token.includes('%')) return token
  try {
    return token === '%' ? '' : decodeURIComponent(token)
  } catch {
    return token
  }
}

/** What a mailbox's subject says: the actor, the message, and its lane or `later`. */
export interface MailboxAddress {
  readonly queue: Lane | 'later'
  readonly actor: string
  /** As it stands in the subject: a name nobody defined, or several tokens, are possible. */
  readonly message: string
}

const MAX_ADDRESSES = 1_000

/** A ledger, mark, … subject may be published by an actor's own workers only; see DESIGN section 3. */
export class Subjects {
  readonly namespace: string
  readonly #addresses = new Map<string, MailboxAddress>()

  constructor(namespace: string) {
    this.namespace = checkNamespace(namespace)
  }

  message(actor: string, message: string, lane: Lane = 'normal'): string {
    return `${this.namespace}.${LANE_TOKENS[lane]}.${actor}.${message}`
  }
  later(actor: string, message: string): string {
    return `${this.namespace}.later.${actor}.${message}`
  }
  call(actor: string, message: string): string {
    return `${this.namespace}.call.${actor}.${message}`
  }
  broadcast(actor: string, message: string): string {
    return `${this.namespace}.all.${actor}.${message}`
  }
  cancel(actor: string): string {
    return `${this.namespace}.cancel.${actor}`
  }
  /** A sender's inbox for outcomes; it subscribes to `….>` of its own instance. */
  reply(sender: string, instance: string, token: string): string {
    return `${this.namespace}.reply.${encodeToken(sender)}.${instance}.${token}`
  }
  dead(actor: string, message: string, id: string): string {
    return `${this.namespace}.dead.${actor}.${encodeToken(message)}.${encodeToken(id)}`
  }
  /** The end of a letter's body that was too large for one message. */
  deadTail(actor: string, message: string, id: string): string {
    return `${this.dead(actor, message, id)}.${TAIL}`
  }
  isDeadTail(subject: string): boolean {
    const [kind, , , , tail] = this.#split(subject, 5)
    return kind === 'dead' && tail === TAIL
  }
  result(actor: string, sender: string, id: string): string {
    return `${this.namespace}.result.${actor}.${encodeToken(sender)}.${encodeToken(id)}`
  }
  mark(actor: string, sequence: number): string {
    return `${this.namespace}.mark.${actor}.${sequence}`
  }
  event(actor: string, message: string, event: string): string {
    return `${this.namespace}.event.${actor}.${encodeToken(message)}.${event}`
  }
  /** Where all events of an actor begin; with '' those of all actors. */
  eventsOf(actor: string): string {
    return actor === '' ? `${this.namespace}.event.` : `${this.namespace}.event.${actor}.`
  }
  systemEvent(system: string, event: string): string {
    return `${this.namespace}.event.system.${encodeToken(system)}.${event}`
  }

  /** Where one system (or `all`) is told to do something. */
  control(system: string, verb: string): string {
    return `${this.namespace}.control.${system}.${verb}`
  }

  /** A delayed message's place while the server holds it. */
  parkedLater(actor: string, message: string, id: string): string {
    return `${this.namespace}.timer.at.${actor}.${encodeToken(message)}.${encodeToken(id)}`
  }
  /** That place of any message of the actor: to list, never to purge. */
  parkedLaterOfAny(actor: string, id: string): string {
    return `${this.namespace}.timer.at.${actor}.*.${encodeToken(id)}`
  }
  /** The dead letters of one id, whatever its message. */
  deadOfAnyMessage(actor: string, id: string): string {
    return `${this.namespace}.dead.${actor}.*.${encodeToken(id)}`
  }
  /** Kept outcomes of one id, whoever sent it. */
  resultOfAnySender(actor: string, id: string): string {
    return `${this.namespace}.result.${actor}.*.${encodeToken(id)}`
  }
  /** Who a kept outcome is for. */
  senderOfResult(subject: string): string | undefined {
    const [, , sender] = this.#split(subject, 4)
    return sender === undefined ? undefined : decodeToken(sender)
  }
  /** A retry's or snooze's place while the server holds it: of the delivery with that sequence. */
  parkedRetry(actor: string, id: string, sequence: number): string {
    return `${this.namespace}.timer.retry.${actor}.${encodeToken(id)}.${sequence}`
  }
  /** Those of one id, whatever deliveries they were made from: to list, never to purge. */
  parkedRetriesOf(actor: string, id: string): string {
    return `${this.namespace}.timer.retry.${actor}.${encodeToken(id)}.*`
  }
  /** Where the server releases what was parked; the timer takes it from there. */
  dueLater(actor: string, message: string, id: string): string {
    return `${this.namespace}.timer.due.${actor}.at.${encodeToken(message)}.${encodeToken(id)}`
  }
  dueRetry(actor: string, sequence: number): string {
    return `${this.namespace}.timer.due.${actor}.retry.${sequence}`
  }

  /** A schedule's place while the server holds its next tick: publishing there again replaces it. */
  parkedTick(actor: string, schedule: string): string {
    return `${this.namespace}.timer.tick.${actor}.${schedule}`
  }
  dueTick(actor: string, schedule: string): string {
    return `${this.namespace}.timer.due.${actor}.tick.${schedule}`
  }
  /** All ticks of an actor, by where they are. */
  ticks(actor: string): { parked: string; due: string } {
    return { parked: this.parkedTick(actor, '*'), due: this.dueTick(actor, '*') }
  }
  /** A notice in the timer stream of an actor: one of its messages ended, and a schedule of `target` runs after it. */
  dueAfter(actor: string, target: string, schedule: string): string {
    return `${this.namespace}.timer.due.${actor}.after.${target}.${schedule}`
  }
  /** The account of one occurrence; `planned` is epoch ms. */
  ledger(actor: string, schedule: string, planned: number): string {
    return `${this.namespace}.ledger.${actor}.${schedule}.${plannedToken(planned)}`
  }
  /** The accounts of one schedule: to list, never to purge. */
  ledgerOf(actor: string, schedule: string): string {
    return `${this.namespace}.ledger.${actor}.${schedule}.*`
  }
  /** What a ledger subject says, or undefined for any other subject. */
  parseLedger(subject: string): { actor: string; schedule: string; planned: number } | undefined {
    const [kind, actor, schedule, token] = this.#split(subject, 4)
    const planned = token === undefined ? undefined : parsePlanned(token)
    if (kind !== 'ledger' || actor === undefined || schedule === undefined || planned === undefined) return undefined
    return { actor, schedule, planned }
  }
  /** What the subject of a released tick or notice says. */
  parseDueSchedule(
    subject: string,
  ): { kind: 'tick'; schedule: string } | { kind: 'after'; target: string; schedule: string } | undefined {
    const [timer, step, , kind, first, second] = this.#split(subject, 6)
    if (timer !== 'timer' || step !== 'due' || first === undefined) return undefined
    if (kind === 'tick' && second === undefined) return { kind, schedule: first }
    return kind === 'after' && second !== undefined ? { kind, target: first, schedule: second } : undefined
  }

  /** All of one kind in an actor's timer stream. */
  timerOf(kind: 'at' | 'retry' | 'tick' | 'due', actor: string): string {
    return `${this.namespace}.timer.${kind}.${actor}.>`
  }
  /** An actor's dead letters, without the tails of large ones. */
  deadOf(actor: string): string {
    return `${this.namespace}.dead.${actor}.*.*`
  }
  /** One message in all lanes of its mailbox. */
  messageOfAnyLane(actor: string, message: string): string {
    return `${this.namespace}.*.${actor}.${message}`
  }

  mailboxStream(actor: string): string {
    return `${this.namespace}-mailbox-${actor}`
  }
  timerStream(actor: string): string {
    return `${this.namespace}-timer-${actor}`
  }
  /** Whose stream it is: of an actor, or shared by all (`actor` is undefined); undefined for any other stream. */
  parseStream(stream: string): { readonly actor: string | undefined } | undefined {
    if (!stream.startsWith(`${this.namespace}-`)) return undefined
    const [, kind, actor] = /^(mailbox|timer)-(.+)$/.exec(stream.slice(this.namespace.length + 1)) ?? []
    return { actor: kind === undefined ? undefined : actor }
  }
  get deadStream(): string {
    return `${this.namespace}-dead`
  }
  get resultStream(): string {
    return `${this.namespace}-results`
  }
  get cancelStream(): string {
    return `${this.namespace}-cancels`
  }
  get markStream(): string {
    return `${this.namespace}-marks`
  }
  get ledgerStream(): string {
    return `${this.namespace}-ledger`
  }
  /** The KV bucket of an actor's schedules. */
  schedulesBucket(actor: string): string {
    return `${this.namespace}-schedules-${actor}`
  }

  get eventStream(): string {
    return `${this.namespace}-events`
  }
  /** The NATS micro service of an actor. */
  service(actor: string): string {
    return `${this.namespace}-${actor}`
  }

  /** All of one kind: `wildcard('dead')` is `troupe.dead.>`; with an actor only its own. */
  wildcard(kind: string, actor?: string): string {
    return actor === undefined ? `${this.namespace}.${kind}.>` : `${this.namespace}.${kind}.${actor}.>`
  }
  /** The form of an actor's subjects of one kind, for people: `troupe.dead.mailer.{message}.{id}`. */
  form(kind: string, actor: string, places: readonly string[]): string {
    return [this.namespace, kind, actor, ...places.map((place) => `{${place}}`)].join('.')
  }
  lane(actor: string, lane: Lane): string {
    return this.wildcard(LANE_TOKENS[lane], actor)
  }

  /** What a mailbox subject says, or undefined for any other subject. */
  parseMailbox(subject: string): MailboxAddress | undefined {
    const known = this.#addresses.get(subject)
    if (known !== undefined) return known
    const address = this.#parseMailbox(subject)
    // Few subjects, many messages; but a stranger may make up as many as he likes.
    if (this.#addresses.size >= MAX_ADDRESSES) this.#addresses.clear()
    if (address !== undefined) this.#addresses.set(subject, address)
    return address
  }

  #parseMailbox(subject: string): MailboxAddress | undefined {
    const [kind, actor, message] = this.#split(subject, 3)
    if (kind === undefined || actor === undefined || message === undefined) return undefined
    const queue = kind === 'later' ? kind : TOKEN_LANES.get(kind)
    return queue && { queue, actor, message }
  }

  /** What a dead letter's subject says, or undefined for any other subject. */
  parseDead(subject: string): { actor: string; message: string; id: string } | undefined {
    const [kind, actor, message, id] = this.#split(subject, 4)
    if (kind !== 'dead' || actor === undefined || message === undefined || id === undefined) return undefined
    return { actor, message: decodeToken(message), id: decodeToken(id) }
  }

  /** Whose event it is, `mailer.welcome` or `system <name>`, and which; undefined for any other subject. */
  parseEvent(subject: string): { of: string; event: string } | undefined {
    const [kind, actor, name, event] = this.#split(subject, 4)
    if (kind !== 'event' || actor === undefined || name === undefined || event === undefined) return undefined
    const token = decodeToken(name)
    return { of: actor === 'system' ? `system ${token}` : `${actor}.${token}`, event }
  }

  /** A released message's kind: a delayed one, or a retry (or snooze) of the delivery with that sequence. */
  parseDue(subject: string): 'at' | 'retry' | undefined {
    const [kind, step, , source] = this.#split(subject, 5)
    return kind === 'timer' && step === 'due' && (source === 'at' || source === 'retry') ? source : undefined
  }

  /**
   * Whether a worker may publish an outcome to this subject: only below `<namespace>.reply.`, with literal tokens.
   * Anything else could be a stream's subject, an API of the server or somebody's inbox.
   */
  isReply(subject: string): boolean {
    const prefix = `${this.namespace}.reply.`
    return subject.startsWith(prefix) && subject.length <= 1024 && REPLY_REST.test(subject.slice(prefix.length))
  }

  /** The tokens after the namespace; the last of `parts` holds the rest. */
  #split(subject: string, parts: number): string[] {
    if (!subject.startsWith(`${this.namespace}.`)) return []
    const tokens = subject.slice(this.namespace.length + 1).split('.')
    return tokens.length <= parts ? tokens : [...tokens.slice(0, parts - 1), tokens.slice(parts - 1).join('.')]
  }
}

/** A planned time as a subject token: `20270328T010000Z`; with its fraction `20270328T010000,250Z`, since a dot would end the token. */
function plannedToken(planned: number): string {
  return formatPlanned(planned).replaceAll(/[-:]/g, '').replace('.', ',')
}

/** Epoch ms, or undefined for a token that no planned time made. */
function parsePlanned(token: string): number | undefined {
  const [, year, month, day, hour, minute, rest] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(.*)$/.exec(token) ?? []
  return rest === undefined
    ? undefined
    : readPlanned(`${year}-${month}-${day}T${hour}:${minute}:${rest.replace(',', '.')}`)
}

const TAIL = 'tail'
// oxlint-disable-next-line no-control-regex -- control characters are exactly what must not stand in a subject
const REPLY_REST = /^[^\s.*>\u0000-\u001F\u007F]+(\.[^\s.*>\u0000-\u001F\u007F]+)+$/
