/**
 * What each role needs of NATS, by subject, and nothing else (DESIGN section 8). Pure; `troupe permissions` prints it.
 *
 * What decides here:
 * 1. NATS permissions see subjects and no headers: publish rights on a stream with roll-ups (timers, schedules) are rights to
 *    erase it. So only the workers of an actor have them, and only on its own streams.
 * 2. They don't see bodies either: who may create or update any stream can, by its sources and mirrors, read every other one
 *    (tried). So a worker of few rights manages nothing (`nats.manage: false`), and an operator runs `troupe deploy`.
 * 3. Nor do they see the subject that a reader names in a body: of streams that actors share, a worker reads its own subjects,
 *    by direct gets (broker/ownSubject.ts), and never by `STREAM.MSG.GET`.
 * 4. They don't look at reply subjects: whoever may ask for anything can have the answer published anywhere in its account
 *    (tried). What must not reach another's streams at all belongs into an account of its own: accounts.ts.
 */
import { ADVISORY_SUBJECTS } from '../broker/advisories.ts'
import { bucketStream } from '../broker/bucket.ts'
import { LANES, Subjects } from '../broker/subjects.ts'

export const ROLES = ['sender', 'worker', 'operator', 'viewer'] as const
export type Role = (typeof ROLES)[number]

/** One user of NATS. */
export interface Party {
  /** Its login: inboxes are below `_INBOX.<user>`. */
  readonly user: string
  readonly role: Role
  /** A sender may send to them, a worker runs them. */
  readonly actors: readonly string[]
  /** Other actors that a worker's handlers send to. */
  readonly sends: readonly string[]
  /** The name that a sender (or worker) gives itself: the setting `sender`. Default: the user. */
  readonly sender?: string | undefined
  /** Whether a worker creates and changes streams itself: the setting `nats.manage`. */
  readonly manage?: boolean | undefined
}

export interface Permissions {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

export interface Place {
  readonly namespace: string
  /** JetStream domain: the setting `nats.domain`. */
  readonly domain?: string | undefined
}

/** The prefix of a user's inboxes: the setting `nats.inboxPrefix`. Below `_INBOX`, where workers may answer. */
export function inboxOf(user: string): string {
  return `_INBOX.${user}`
}

/** What a party may publish and subscribe. */
export function permissionsOf(party: Party, place: Place): Permissions {
  const names = new Names(place)
  const own = { publish: [], subscribe: [`${inboxOf(party.user)}.>`] }
  const { publish, subscribe } = merged([own, ...RIGHTS[party.role](party, names)])
  return { publish: publish.flatMap((subject) => inDomain(subject, place.domain)), subscribe }
}

/**
 * JetStream's own subjects in a domain. Both forms: a server of that domain maps the longer to the shorter and looks at what is permitted
 * after that (tried); one that only has a leaf node there does not.
 */
function inDomain(subject: string, domain: string | undefined): string[] {
  if (domain === undefined) return [subject]
  if (subject.startsWith('$JS.API.')) return [`$JS.${domain}.API.${subject.slice('$JS.API.'.length)}`, subject]
  return subject.startsWith('$KV.') ? [`$JS.${domain}.API.${subject}`, subject] : [subject]
}

/** Every subject once, in order. */
function merged(all: readonly Permissions[]): Permissions {
  const unique = (kind: keyof Permissions): string[] => [...new Set(all.flatMap((rights) => rights[kind]))]
  return { publish: unique('publish'), subscribe: unique('subscribe') }
}

const RIGHTS: { readonly [R in Role]: (party: Party, names: Names) => Permissions[] } = {
  sender: (party, names) => [
    ...party.actors.map((actor) => sending(actor, senderOf(party), names)),
    hearing(party, names),
  ],
  worker: (party, names) => [
    hearing(party, names),
    ...[...party.actors, ...party.sends].map((actor) => sending(actor, senderOf(party), names)),
    ...party.actors.map((actor) => working(actor, names)),
    shared(names),
    ...(party.manage === true ? [managing(party.actors, names)] : []),
  ],
  operator: (_party, names) => [operating(names)],
  viewer: (_party, names) => [viewing(names)],
}

function senderOf({ sender, user }: Party): string {
  return sender ?? user
}

/** Outcomes that were asked for. */
function hearing(party: Party, { subjects }: Names): Permissions {
  return { publish: [], subscribe: [subjects.wildcard('reply', senderOf(party))] }
}

/** Messages to one actor, and the kept results of one's own. */
function sending(actor: string, sender: string, { subjects, direct }: Names): Permissions {
  const results = subjects.wildcard('result', actor).replace('>', `${sender}.*`)
  return {
    publish: [
      ...LANES.map((lane) => subjects.message(actor, '*', lane)),
      subjects.later(actor, '*'),
      subjects.call(actor, '*'),
      subjects.broadcast(actor, '*'),
      subjects.cancel(actor),
      `${subjects.eventsOf(actor)}*.sent`,
      direct(subjects.resultStream, results),
    ],
    subscribe: [results],
  }
}

/** All that the worker and the timer of one actor do. */
function working(actor: string, names: Names): Permissions {
  const { subjects, api, direct } = names
  const [mailbox, timer] = [subjects.mailboxStream(actor), subjects.timerStream(actor)]
  const bucket = subjects.schedulesBucket(actor)
  const own = [mailbox, timer, bucketStream(bucket)]
  return {
    publish: [
      ...[mailbox, timer].flatMap((stream) => [
        api(`CONSUMER.MSG.NEXT.${stream}.*`),
        api(`CONSUMER.INFO.${stream}.*`),
        // Both forms of acks (ADR-15): the longer one has domain and account before the stream.
        `$JS.ACK.${stream}.>`,
        `$JS.ACK.*.*.${stream}.>`,
      ]),
      ...own.flatMap((stream) => [
        api(`STREAM.INFO.${stream}`),
        api(`STREAM.MSG.GET.${stream}`),
        api(`DIRECT.GET.${stream}`),
      ]),
      ...[mailbox, timer].map((stream) => api(`STREAM.MSG.DELETE.${stream}`)),
      `${subjects.namespace}.timer.*.${actor}.>`,
      `$KV.${bucket}.>`,
      subjects.wildcard('dead', actor),
      subjects.wildcard('event', actor),
      ...(['result', 'mark', 'ledger'] as const).flatMap((kind) => [
        subjects.wildcard(kind, actor),
        direct(names.streamOf[kind], subjects.wildcard(kind, actor)),
      ]),
      api(`CONSUMER.CREATE.${subjects.cancelStream}.*.${subjects.cancel(actor)}`),
    ],
    subscribe: [
      subjects.call(actor, '*'),
      subjects.wildcard('all', actor),
      `$KV.${bucket}.>`,
      ...SERVICE_VERBS.flatMap((verb) => [
        `$SRV.${verb}.${subjects.service(actor)}`,
        `$SRV.${verb}.${subjects.service(actor)}.*`,
      ]),
    ],
  }
}

/** What a system does that is of no one actor. */
function shared({ subjects, api }: Names): Permissions {
  const { cancelStream, deadStream, resultStream, markStream, ledgerStream, eventStream } = subjects
  const streams = [cancelStream, deadStream, resultStream, markStream, ledgerStream, eventStream]
  return {
    publish: [
      // That they exist, and the server's time. It shows names and counts of what is in them, no message.
      ...streams.map((stream) => api(`STREAM.INFO.${stream}`)),
      ...['CONSUMER.INFO', 'CONSUMER.MSG.NEXT', 'CONSUMER.DELETE'].map((verb) => api(`${verb}.${cancelStream}.*`)),
      subjects.wildcard('event', 'system'),
      subjects.wildcard('reply'),
      ...ANSWERS,
    ],
    subscribe: [subjects.control('*', '*'), ...SERVICE_VERBS.map((verb) => `$SRV.${verb}`), ...ADVISORY_SUBJECTS],
  }
}

function managing(actors: readonly string[], { subjects, api }: Names): Permissions {
  const { cancelStream, deadStream, resultStream, markStream, ledgerStream, eventStream } = subjects
  const queues = actors.flatMap((actor) => [subjects.mailboxStream(actor), subjects.timerStream(actor)])
  const buckets = actors.map((actor) => bucketStream(subjects.schedulesBucket(actor)))
  const streams = [...queues, ...buckets, cancelStream, deadStream, resultStream, markStream, ledgerStream, eventStream]
  return {
    publish: [
      ...streams.flatMap((stream) => [api(`STREAM.CREATE.${stream}`), api(`STREAM.UPDATE.${stream}`)]),
      ...queues.map((stream) => api(`CONSUMER.CREATE.${stream}.>`)),
    ],
    subscribe: [],
  }
}

/** All of the account, workers' part too: names of streams can't be confined to a namespace by a wildcard. */
function operating({ subjects, api }: Names): Permissions {
  const all = `${subjects.namespace}.>`
  return {
    publish: [all, api('>'), '$JS.ACK.>', '$KV.>', '$SRV.>', ...ANSWERS],
    subscribe: [all, '$KV.>', '$SRV.>', '$JS.EVENT.>'],
  }
}

/** Verbs of control that only look. */
const LOOKING = ['status', 'tree', 'health', 'held', 'running'] as const

function viewing({ subjects, api }: Names): Permissions {
  const reads = [
    'INFO',
    'STREAM.NAMES',
    'STREAM.LIST',
    'STREAM.INFO.*',
    'STREAM.MSG.GET.*',
    'CONSUMER.NAMES.*',
    'CONSUMER.LIST.*',
    'CONSUMER.INFO.*.*',
    'DIRECT.GET.>',
  ]
  return {
    publish: [
      ...reads.map((read) => api(read)),
      ...SERVICE_VERBS.flatMap((verb) => [`$SRV.${verb}`, `$SRV.${verb}.>`]),
      ...LOOKING.map((verb) => subjects.control('*', verb)),
    ],
    subscribe: [subjects.wildcard('event'), '$JS.EVENT.ADVISORY.>'],
  }
}

/**
 * Where live calls and control are answered: inboxes, whose names nobody can guess; where the caller has an account of its own,
 * those that the server makes. (`allow_responses` would let whoever calls name any subject instead.)
 */
const ANSWERS = ['_INBOX.>', '_R_.>'] as const

/** Of NATS micro services (ADR-32). */
const SERVICE_VERBS = ['PING', 'INFO', 'STATS'] as const

/** The names that all of this is made of. */
class Names {
  readonly subjects: Subjects
  readonly streamOf: { readonly result: string; readonly mark: string; readonly ledger: string }

  constructor({ namespace }: Place) {
    this.subjects = new Subjects(namespace)
    const { resultStream, markStream, ledgerStream } = this.subjects
    this.streamOf = { result: resultStream, mark: markStream, ledger: ledgerStream }
  }

  readonly api = (verb: string): string => `$JS.API.${verb}`
  /** The last message of a subject, and of no other. */
  readonly direct = (stream: string, subject: string): string => this.api(`DIRECT.GET.${stream}.${subject}`)
}
