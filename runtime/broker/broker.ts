/** What one process holds of NATS: the connection and the layers above it, put together in one place. */
import { Acks } from './acks.ts'
import { JetStreamApi } from './api.ts'
import { Assets, type AssetSettings } from './assets.ts'
import { Bucket } from './bucket.ts'
import { Connection } from './connection.ts'
import type { NatsSettings } from './dial.ts'
import { Publisher } from './publisher.ts'
import { Replies } from './replies.ts'
import { Subjects } from './subjects.ts'

export interface BrokerSettings extends AssetSettings {
  readonly nats: NatsSettings
  readonly namespace: string
}

export interface Broker {
  readonly connection: Connection
  readonly replies: Replies
  readonly api: JetStreamApi
  readonly publisher: Publisher
  readonly acks: Acks
  readonly assets: Assets
  readonly subjects: Subjects
  /** The bucket of an actor's schedules; it may not exist yet. */
  schedules(actor: string): Bucket
  close(): Promise<void>
}

/** Connects. Throws what `Connection.open` throws. */
export async function openBroker(settings: BrokerSettings): Promise<Broker> {
  const subjects = new Subjects(settings.namespace)
  const connection = await Connection.open(settings.nats)
  const replies = new Replies(connection, settings.nats.requestTimeoutMs)
  const api = new JetStreamApi(replies, settings.nats.domain)
  const publisher = new Publisher(connection, replies)
  return {
    connection,
    replies,
    api,
    publisher,
    acks: new Acks(replies),
    assets: new Assets(api, subjects, settings),
    subjects,
    schedules: (actor) => new Bucket(subjects.schedulesBucket(actor), api, publisher),
    close: async () => {
      replies.close()
      await connection.close()
    },
  }
}
