/**
 * Every setting of Troupe: its kind, meaning, unit and default. Types, environment variables, flags, errors and the table in README.md
 * are all made from this one list.
 */
import { hostname } from 'node:os'

import type { ScheduleInput } from '../runtime/schedules/definition.ts'
import {
  address,
  choice,
  duration,
  flag,
  list,
  path,
  scheduleMap,
  seedOrPath,
  text,
  wholeNumber,
  type Kind,
} from './kinds.ts'

/** One setting. `Out` is the type of its resolved value. */
export interface Setting<In, Out, Suffix extends string = string> {
  readonly kind: Kind<In, Out, Suffix>
  readonly meaning: string
  /** What a number means: `messages`, `bytes`. */
  readonly unit?: string
  /** As a user would write it; absent: the setting is `undefined` unless somebody sets it. */
  readonly default?: In | (() => In)
  /** How the default is told, where it is made when Troupe starts. */
  readonly defaultText?: string
  /** Never shown: neither in errors nor by `redact`. */
  readonly secret?: true
}

type About<In> = Omit<Setting<In, unknown>, 'kind' | 'default'>

function setting<In, Out, Suffix extends string>(
  kind: Kind<In, Out, Suffix>,
  about: About<In> & { readonly default: NoInfer<In> | (() => NoInfer<In>) },
): Setting<In, Out, Suffix>
function setting<In, Out, Suffix extends string>(
  kind: Kind<In, Out, Suffix>,
  about: About<In>,
): Setting<In, Out | undefined, Suffix>
function setting(
  kind: Kind<unknown, unknown>,
  about: Omit<Setting<unknown, unknown>, 'kind'>,
): Setting<unknown, unknown> {
  return { kind, ...about }
}

const systemName = text('letters, digits, _ and -, at most 64, and not "all"', /^(?!all$)[a-zA-Z0-9_-]{1,64}$/)
const token = text('text without spaces, dots, * and >', /^[^\s.*>]+$/)

/** The name of this system where nobody gives one: host and process. */
function defaultSystem(): string {
  return `${hostname()
    .replaceAll(/[^a-zA-Z0-9_-]/g, '_')
    .slice(0, 50)}-${process.pid}`
}

export const schema = {
  namespace: setting(text('a letter, then letters, digits and _', /^[a-zA-Z][a-zA-Z0-9_]*$/), {
    meaning: 'first token of every subject and name in NATS: several applications share one NATS by it',
    default: 'troupe',
  }),
  system: setting(systemName, {
    meaning: 'name of this system in events, control subjects and reports',
    default: defaultSystem,
    defaultText: 'host name and process id',
  }),
  version: setting(
    text(
      'a semantic version such as "1.4.0"',
      /^\d+\.\d+\.\d+(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/,
    ),
    {
      meaning: "version of the application, told by its NATS micro services; unset: that of the project's package.json",
    },
  ),
  sender: setting(systemName, {
    meaning: 'name of this sender: replies and kept results are filed under it',
    default: 'any',
  }),
  actors: setting(list(path, 'a list of paths'), {
    meaning: 'files whose exported actors `troupe start` runs',
    default: [],
  }),
  schedules: setting(scheduleMap<Readonly<Record<string, ScheduleInput>>>(), {
    meaning: 'schedules by their ids, put when a system that runs their actor starts; in the environment as JSON',
    default: {},
  }),
  events: setting(choice('off', 'failures', 'all'), {
    meaning: 'which events about messages are published',
    default: 'failures',
  }),
  logLevel: setting(choice('debug', 'info', 'warn', 'error', 'silent'), {
    meaning: 'least serious log lines that are written',
    default: 'info',
  }),
  logFormat: setting(choice('auto', 'json', 'pretty'), {
    meaning: 'form of log lines; `auto`: pretty in a terminal, else JSON',
    default: 'auto',
  }),
  secrets: setting(list(text(), 'a list of words'), {
    meaning:
      'fields whose names contain one of these words are hidden in logs, events and listings, beside password, token, secret and the like',
    default: [],
  }),
  nats: {
    servers: setting(list(address, 'a list of addresses of NATS servers such as "nats://localhost:4222"'), {
      meaning: "addresses of NATS; with none, Troupe starts the project's own server",
      default: [],
    }),
    name: setting(text(), { meaning: 'name of the connection in reports of NATS; unset: the name of the system' }),
    credentials: setting(path, { meaning: 'credentials file (`.creds`): JWT and seed' }),
    nkey: setting(seedOrPath, { meaning: 'nkey seed, or a file that holds it', secret: true }),
    jwt: setting(text(), { meaning: 'user JWT, used together with `nats.nkey`', secret: true }),
    user: setting(text(), { meaning: 'user name' }),
    password: setting(text(), { meaning: 'password of the user', secret: true }),
    token: setting(text(), { meaning: 'authentication token', secret: true }),
    inboxPrefix: setting(text('a subject without wildcards', /^[^\s.*>]+(\.[^\s.*>]+)*$/), {
      meaning: "prefix of reply subjects, where permissions ask for one; unset: NATS's own `_INBOX`",
    }),
    domain: setting(token, { meaning: 'JetStream domain' }),
    replicas: setting(wholeNumber(1, 5), { meaning: 'copies of every stream and bucket', unit: 'servers', default: 1 }),
    manage: setting(flag, {
      meaning: 'whether workers create streams and apply safe changes to them; false: `troupe deploy` does',
      default: true,
    }),
    connectTimeout: setting(duration('10ms'), { meaning: 'longest time until a connection is made', default: '5s' }),
    requestTimeout: setting(duration('10ms'), { meaning: 'longest wait for an answer of NATS', default: '5s' }),
    pingInterval: setting(duration('100ms'), {
      meaning: 'time between pings; two unanswered ones end a connection',
      default: '10s',
    }),
    silentAfter: setting(duration('100ms'), {
      meaning: 'a connection on which nothing comes for so long, not even the answer to a ping, is dialled anew',
      default: '5s',
    }),
    giveUpAfter: setting(duration('1s'), {
      meaning:
        'a system without a connection for so long ends with exit code 1; unset: never while NATS is away, after 1m while it refuses our credentials',
    }),
    tls: {
      ca: setting(path, { meaning: 'file with the certificate of the authority, PEM' }),
      cert: setting(path, { meaning: "file with the client's certificate, PEM" }),
      key: setting(path, { meaning: "file with the key of the client's certificate, PEM" }),
      serverName: setting(text(), { meaning: "name that the server's certificate must have; unset: the host's" }),
      handshakeFirst: setting(flag, { meaning: 'TLS before the first word of NATS', default: false }),
      rejectUnauthorized: setting(flag, {
        meaning: 'refuse certificates that no known authority signed',
        default: true,
      }),
    },
  },
  server: {
    binary: setting(path, { meaning: "nats-server for the project's own server; unset: found or installed" }),
    dir: setting(path, { meaning: "folder of the project's own server: data, log, state", default: '.troupe' }),
    port: setting(wholeNumber(0, 65_535), { meaning: 'port of the own server on loopback; 0: a free one', default: 0 }),
    install: setting(flag, { meaning: 'whether npm may install nats-server into the cache', default: true }),
  },
  mailbox: {
    lease: setting(duration('1s', '1h'), {
      meaning: 'how long a message stays with a worker that says nothing: a dead one gives it back within this time',
      default: '30s',
    }),
    dedupeWindow: setting(duration('100ms'), {
      meaning: 'how long the same id at an actor means the same message',
      default: '2m',
    }),
    maxMessages: setting(wholeNumber(1), {
      meaning: 'most messages in a mailbox, then it refuses; unset: no limit',
      unit: 'messages',
    }),
    maxBytes: setting(wholeNumber(1), {
      meaning: 'largest size of a mailbox, then it refuses; unset: no limit',
      unit: 'bytes',
    }),
    concurrency: setting(wholeNumber(1, 100_000), {
      meaning: 'messages that a worker runs at once, unless the actor says otherwise',
      unit: 'messages',
      default: 10,
    }),
    blockedAfter: setting(duration('100ms'), {
      meaning: 'a handler that blocks the event loop for longer is told of, while it does and when it has ended',
      default: '1s',
    }),
    stalledAfter: setting(duration('100ms'), {
      meaning:
        'a worker that gets nothing of a backlog for so long, though it has free slots, is restarted; noticed within 2.5 times that',
      default: '10s',
    }),
    timeLimit: setting(duration('1ms'), {
      meaning: 'longest run of a handler, unless its message says otherwise',
      default: '5m',
    }),
  },
  retention: {
    dead: setting(duration('1s'), { meaning: 'how long dead letters are kept', default: '30d' }),
    results: setting(duration('1s'), {
      meaning: 'longest time that a result is kept, whatever its sender asked; unset: as asked',
    }),
    events: setting(duration('1s'), {
      meaning: 'how long events are kept for history, in the stream `<namespace>-events`; unset: they are not kept',
    }),
    eventBytes: setting(wholeNumber(1_048_576), {
      meaning: 'largest size of that stream: the oldest events go first',
      unit: 'bytes',
      default: 1_073_741_824,
    }),
    cancels: setting(duration('1s'), { meaning: 'how long a cancel waits for its message', default: '7d' }),
    ledger: setting(duration('1m'), {
      meaning: 'how long the account of an occurrence of a schedule is kept',
      default: '30d',
    }),
  },
  timer: {
    check: setting(duration('100ms', '1h'), {
      meaning: 'how often timers look whether every active schedule has its tick, and mend what is missing',
      default: '30s',
    }),
    lostAfter: setting(duration('1s'), {
      meaning:
        'how long a run without an outcome counts as running for its schedule, unless the schedule says otherwise',
      default: '1d',
    }),
  },
  http: {
    port: setting(wholeNumber(0, 65_535), {
      meaning: 'port for /healthz, /readyz and /metrics of each system; 0: a free one, told in the log; unset: none',
    }),
    host: setting(text(), {
      meaning: 'address that it listens on; it has no login, so open it to a network that you trust',
      default: '127.0.0.1',
    }),
  },
  shutdown: {
    within: setting(duration('0s'), {
      meaning: 'time that running handlers get when the system stops',
      default: '30s',
    }),
  },
} as const

type Schema = typeof schema

type Resolved<Tree> = {
  readonly [Key in keyof Tree & string as `${Key}${SuffixOf<Tree[Key]>}`]: Tree[Key] extends Setting<
    infer _In,
    infer Out,
    infer _Suffix
  >
    ? Out
    : Resolved<Tree[Key]>
}

type SuffixOf<Node> = Node extends Setting<infer _In, infer _Out, infer Suffix> ? Suffix : ''

type Written<Tree> = {
  readonly [Key in keyof Tree]?:
    | (Tree[Key] extends Setting<infer In, infer _Out, infer _Suffix> ? In : Written<Tree[Key]>)
    | undefined
}

/** The whole configuration, resolved: paths are absolute, durations are milliseconds in keys that end in `Ms` (`mailbox.leaseMs`). */
export type Config = Resolved<Schema>

/** What a user writes: any part of the configuration, durations as text, numbers or parts. */
export type ConfigInput = Written<Schema>

/** A setting with its place: `nats.servers`. */
export interface Leaf {
  readonly key: string
  readonly setting: Setting<unknown, unknown>
}

/** A group of settings, or one. */
export type Node = Setting<unknown, unknown> | { readonly [name: string]: Node }

export function isSetting(node: Node): node is Setting<unknown, unknown> {
  return 'kind' in node && 'meaning' in node
}

function collect(node: Node, key: string): Leaf[] {
  if (isSetting(node)) return [{ key, setting: node }]
  return Object.entries(node).flatMap(([name, child]) => collect(child, key === '' ? name : `${key}.${name}`))
}

/** All settings, in the order of the list. */
export const leaves: readonly Leaf[] = collect(schema, '')
