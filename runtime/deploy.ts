/**
 * `troupe deploy`: what actors need in NATS, compared with what there is, and brought there as far as it loses nothing.
 * It works whatever `nats.manage` says: with that off, this is how an operator makes what workers only use.
 */
import type { ActorSpec } from './actor.ts'
import { JetStreamError } from './broker/api.ts'
import type { Broker } from './broker/broker.ts'
import { differencesOf, isSafe, updated, type Difference, type Stream } from './broker/differences.ts'
import type { Wanted } from './broker/wanted.ts'
import { toError } from './errors.ts'

/** A stream or consumer, and what became of it. */
export interface DeployedAsset {
  readonly kind: 'stream' | 'consumer'
  /** The stream, or `<stream>/<consumer>`. */
  readonly name: string
  /** `unsafe`: left as it is, since the change could lose messages. `refused`: the server would not. */
  readonly state: 'created' | 'same' | 'changed' | 'unsafe' | 'refused'
  readonly differences: readonly (Difference & { readonly isSafe: boolean })[]
  /** What the server said. */
  readonly problem?: string
}

/** Streams first, since consumers stand on them. `scheduled`: actors that need a bucket for schedules. With `dryRun` the states are what would be, and nothing is touched. */
export async function deployAssets(
  broker: Broker,
  specs: readonly ActorSpec[],
  { dryRun = false, scheduled = [] }: { readonly dryRun?: boolean; readonly scheduled?: readonly string[] } = {},
): Promise<DeployedAsset[]> {
  const wanted = specs.map((spec) => broker.assets.wanted.all(spec))
  const all = [
    ...wanted.flatMap((one) => one.streams),
    ...scheduled.map((actor) => broker.assets.wanted.schedules(actor)),
  ]
  const streams = new Map(all.map((stream) => [stream.name, stream]))
  const deployed: DeployedAsset[] = []
  for (const stream of streams.values()) deployed.push(await deployStream(broker, stream, dryRun))
  for (const consumer of wanted.flatMap((one) => one.consumers))
    deployed.push(await deployConsumer(broker, consumer, dryRun))
  return deployed
}

async function deployStream({ api }: Broker, wanted: Stream, dryRun: boolean): Promise<DeployedAsset> {
  const existing = await api.streamInfo(wanted.name).then(({ config }) => config, ifGone)
  const asset = { kind: 'stream', name: wanted.name } as const
  if (existing === undefined) return act(asset, 'created', [], dryRun, () => api.createStream(wanted))
  const differences = judged(wanted, existing)
  if (differences.some((difference) => !difference.isSafe)) return { ...asset, state: 'unsafe', differences }
  if (differences.length === 0) return { ...asset, state: 'same', differences }
  return act(asset, 'changed', differences, dryRun, () => api.updateStream(updated(existing, wanted)))
}

function judged(wanted: Stream, existing: Parameters<typeof updated>[0]): DeployedAsset['differences'] {
  return differencesOf(wanted, existing).map((one) => ({ ...one, isSafe: isSafe(one.key, one.want, one.have) }))
}

/** A consumer holds no messages, so the server itself says which changes it takes. */
async function deployConsumer(
  { api }: Broker,
  { stream, wanted }: Wanted['consumers'][number],
  dryRun: boolean,
): Promise<DeployedAsset> {
  const existing = await api.consumerInfo(stream, wanted.name).then(({ config }) => config, ifGone)
  const differences =
    existing === undefined ? [] : differencesOf(wanted, existing).map((one) => ({ ...one, isSafe: true }))
  const asset = { kind: 'consumer', name: `${stream}/${wanted.name}` } as const
  if (existing !== undefined && differences.length === 0) return { ...asset, state: 'same', differences }
  return act(asset, existing === undefined ? 'created' : 'changed', differences, dryRun, () =>
    api.putConsumer(stream, wanted),
  )
}

async function act(
  asset: Pick<DeployedAsset, 'kind' | 'name'>,
  state: 'created' | 'changed',
  differences: DeployedAsset['differences'],
  dryRun: boolean,
  change: () => Promise<unknown>,
): Promise<DeployedAsset> {
  try {
    if (!dryRun) await change()
    return { ...asset, state, differences }
  } catch (error) {
    if (!(error instanceof JetStreamError) || error.refusal === 'away') throw error
    return { ...asset, state: 'refused', differences, problem: toError(error).message }
  }
}

function ifGone(error: unknown): undefined {
  if (error instanceof JetStreamError && error.refusal === 'gone') return undefined
  throw error
}
