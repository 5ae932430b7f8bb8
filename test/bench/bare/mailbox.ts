/** The bare loop's stream and consumer, with the settings of a mailbox (DESIGN section 4). */
import { AckPolicy, jetstreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/nats-core'
import { connect } from '@nats-io/transport-node'

export function open(url: string): Promise<NatsConnection> {
  return connect({ servers: url, noAsyncTraces: true })
}

/** Where a message of the bare loop goes. */
export function subjectOf(space: string): string {
  return `${space}.do.bench.noop`
}

/** Where a schedule of the bare loop is kept until it is due. */
export function parkedAt(space: string, n: number): string {
  return `${space}.at.bench.noop.${n}`
}

/** The consumer's name, the same in each of these streams. */
export const consumer = 'do'

/** Makes the stream, which also keeps schedules, and its one consumer; one that is there already stays. */
export async function ensureMailbox(nc: NatsConnection, space: string): Promise<void> {
  const manager = await jetstreamManager(nc)
  await manager.streams.add({
    name: space,
    subjects: [`${space}.>`],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.File,
    duplicate_window: 120e9,
    allow_direct: true,
    allow_msg_ttl: true,
    allow_msg_schedules: true,
  })
  await manager.consumers.add(space, {
    durable_name: consumer,
    filter_subject: `${space}.do.>`,
    ack_policy: AckPolicy.Explicit,
    ack_wait: 30e9,
    max_deliver: -1,
    max_ack_pending: -1,
  })
}
