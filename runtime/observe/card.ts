/** What an actor's micro service says of itself: who runs it, what its messages take, what became of those in its mailbox. */
import { hostname } from 'node:os'

import type { ActorSpec } from '../actor.ts'
import { troupeVersion, type Application } from '../application.ts'
import type { ServiceCard } from '../broker/service.ts'
import { jsonSchemaOf } from '../jsonSchema.ts'
import type { Depth } from './depths.ts'
import type { Histogram } from './histogram.ts'
import type { ActorTally, MessageTally } from './tally.ts'

export interface CardParts {
  readonly spec: ActorSpec
  readonly tally: ActorTally
  readonly system: string
  readonly application: Application
  /** Folder of the project: packages that convert schemas are looked for there. */
  readonly root: string
  /** Messages of that name that run in this system now. */
  running(message: string): number
  depth(): Promise<Depth | undefined>
}

/** Semantic versions, as ADR-32 asks for them. */
const SEMVER = /^\d+\.\d+\.\d+(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/

export function serviceCard(parts: CardParts): ServiceCard {
  const { spec, tally, application } = parts
  return {
    version: SEMVER.test(application.version) ? application.version : '0.0.0',
    metadata: {
      system: parts.system,
      actor: spec.name,
      host: hostname(),
      pid: String(process.pid),
      application: application.name,
      troupe: troupeVersion(),
      messages: [...spec.messages.keys()].join(', '),
    },
    endpoint: (message) => endpointMetadata(spec, message, parts.root),
    live: (message) => tally.of(message).calls,
    stats: async (message) => mailboxStats(tally.of(message), parts.running(message), message, await parts.depth()),
  }
}

/** The schema as text, since metadata is text; in an endpoint's, since a service's own goes out with every ping. */
async function endpointMetadata(spec: ActorSpec, message: string, root: string): Promise<Record<string, string>> {
  const { description, schema: declared } = spec.messages.get(message) ?? {}
  const { schema, missing } = await jsonSchemaOf(declared, 'draft-2020-12', root)
  return {
    ...(description === undefined ? {} : { description }),
    ...(schema === undefined ? { payload_schema_missing: missing ?? '' } : { payload_schema: JSON.stringify(schema) }),
  }
}

/** `data` of an endpoint in `$SRV.STATS`. Counts are of this system since it started; `waiting` and `paused` are everybody's. */
export interface MailboxStats {
  readonly done: number
  /** Attempts that failed, whether they are tried again (`retried`) or not (`dead`). */
  readonly failed: number
  readonly retried: number
  readonly dead: number
  readonly snoozed: number
  readonly cancelled: number
  readonly expired: number
  readonly released: number
  /** Here, now. */
  readonly running: number
  /** In the mailbox, under this name, and not running here. Absent where NATS did not say in time. */
  readonly waiting?: number
  /** Lanes whose consumer is paused, with the time until which. */
  readonly paused: Readonly<Record<string, string>>
  readonly processing: ProcessingStats
  readonly last_error?: { readonly at: string; readonly name: string; readonly message: string }
}

interface ProcessingStats {
  readonly count: number
  readonly seconds: number
  /** How many took at most so many seconds. */
  readonly le: Readonly<Record<string, number>>
}

function mailboxStats(tally: MessageTally, running: number, message: string, depth: Depth | undefined): MailboxStats {
  const { outcomes, lastError } = tally
  const stored = depth?.stored.get(message)
  return {
    done: outcomes.done,
    failed: tally.failed,
    retried: outcomes.retry,
    dead: outcomes.dead,
    snoozed: outcomes.snooze,
    cancelled: outcomes.cancelled,
    expired: outcomes.expired,
    released: outcomes.released,
    running,
    ...(stored === undefined ? {} : { waiting: Math.max(0, stored - running) }),
    paused: pausedLanes(depth),
    processing: processingStats(tally.processing),
    ...(lastError === undefined
      ? {}
      : {
          last_error: {
            at: new Date(lastError.at).toISOString(),
            name: lastError.failure.name,
            message: lastError.failure.message,
          },
        }),
  }
}

function pausedLanes(depth: Depth | undefined): Record<string, string> {
  const paused = (depth?.lanes ?? []).flatMap(({ lane, pausedUntil }) =>
    pausedUntil === undefined ? [] : [[lane, new Date(pausedUntil).toISOString()] as const],
  )
  return Object.fromEntries(paused)
}

function processingStats(histogram: Histogram): ProcessingStats {
  return {
    count: histogram.count,
    seconds: histogram.sumMs / 1000,
    le: Object.fromEntries(
      histogram.cumulative().map(([bound, count]) => [bound === Infinity ? '+Inf' : bound, count]),
    ),
  }
}
