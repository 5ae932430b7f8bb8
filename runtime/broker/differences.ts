/** How an asset that exists differs from what is wanted, and which of the differences may be undone without losing messages: pure. */
import type { ConsumerConfig, StreamConfig } from '@nats-io/jetstream'

import { BrokerError } from '../errors.ts'

export type Stream = Partial<StreamConfig> & { name: string }
export type Consumer = Partial<ConsumerConfig> & { name: string }

/** Metadata that whoever comes first sets for good: a word that only workers of the actor can read (assets.ts). */
export const SALT = 'troupe_salt'

/** What exists, changed to what is wanted; metadata of others stays, and so does the salt. */
export function updated(existing: StreamConfig, wanted: Stream): Stream {
  return { ...existing, ...wanted, metadata: { ...existing.metadata, ...ownMetadata(wanted, existing) } }
}

/** What we want in the metadata, where the salt that is there counts. The server keeps words of its own beside ours. */
function ownMetadata(
  wanted: Stream | Consumer,
  existing: StreamConfig | ConsumerConfig,
): Readonly<Record<string, string>> {
  const salt = existing.metadata?.[SALT]
  return { ...wanted.metadata, ...(salt === undefined ? {} : { [SALT]: salt }) }
}

export interface Difference {
  readonly key: string
  readonly want: unknown
  readonly have: unknown
}

/** Settings that are not as wanted. */
export function differencesOf(wanted: Stream | Consumer, existing: StreamConfig | ConsumerConfig): Difference[] {
  return Object.entries(wanted)
    .map(([key, want]) =>
      key === 'metadata'
        ? metadataDifference(wanted, existing)
        : { key, want, have: (existing as unknown as Record<string, unknown>)[key] },
    )
    .filter(
      ({ want, have }) => JSON.stringify(want) !== JSON.stringify(have) && !(have === undefined && isDefault(want)),
    )
}

/** Of the metadata only our own words count, each as it is there. The salt is no difference, and is not to be shown. */
function metadataDifference(wanted: Stream | Consumer, existing: StreamConfig | ConsumerConfig): Difference {
  const { [SALT]: _, ...want } = ownMetadata(wanted, existing)
  const have = Object.fromEntries(
    Object.keys(want).flatMap((key) => (existing.metadata?.[key] === undefined ? [] : [[key, existing.metadata[key]]])),
  )
  return { key: 'metadata', want, have }
}

/** Differences that nothing depends on: what an asset says of itself to people. */
export function isCosmetic({ key }: Difference): boolean {
  return key === 'description' || key === 'metadata'
}

/** The server leaves out what is at its default. */
function isDefault(want: unknown): boolean {
  return want === false || want === 0 || want === '' || want === -1
}

/** Changes that lose nothing: a bound that grows or goes, more subjects, a longer window or age, other texts. */
export function isSafe(key: string, want: unknown, have: unknown): boolean {
  if (key === 'max_msgs' || key === 'max_bytes')
    return want === -1 || (typeof have === 'number' && have !== -1 && Number(want) >= have)
  if (key === 'max_age') return want === 0 || (have !== 0 && Number(want) >= Number(have))
  if (key === 'subjects') return (have as string[]).every((subject) => (want as string[]).includes(subject))
  if (key === 'duplicate_window') return Number(want) >= Number(have)
  return ['description', 'num_replicas', 'allow_direct', 'allow_msg_ttl', 'metadata'].includes(key)
}

/** For who must decide: narrowing a stream is left to an operator. */
export function differs(stream: string, differences: readonly Difference[]): BrokerError {
  const list = differences.map(
    ({ key, want, have }) => `${key} is ${JSON.stringify(have)}, expected ${JSON.stringify(want)}`,
  )
  const text =
    `stream ${stream} exists with other settings: ${list.join('; ')}. Give the actor's definition (or troupe.config) the ` +
    `settings that exist, or change the stream with "nats stream edit ${stream}": narrowing it could lose messages.`
  return new BrokerError('DIFFERENT_SETTINGS', text, { data: { stream, differences } })
}
