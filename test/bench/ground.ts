/** What a measure runs on: its own fresh server, and a connection to look into it from outside of both sides. */
import { setTimeout as sleep } from 'node:timers/promises'

import type { JetStreamManager } from '@nats-io/jetstream'
import { jetstreamManager } from '@nats-io/jetstream'

import { startServer } from '../kit/server.ts'
import { open, subjectOf } from './bare/mailbox.ts'
import { nowMs } from './clock.ts'

export interface Ground extends AsyncDisposable {
  readonly url: string
  /** Version of the server. */
  readonly version: string
  /** Deletes every stream: the next round begins on an empty server. */
  wipe(): Promise<void>
  /** Waits until nothing in the mailbox of `space` waits or runs: all was acknowledged. Resolves to the moment, monotonic. */
  emptied(space: string): Promise<number>
}

export async function prepareGround(): Promise<Ground> {
  const server = await startServer()
  const nc = await open(server.url)
  const manager = await jetstreamManager(nc)
  return {
    url: server.url,
    version: nc.info?.version ?? 'unknown',
    wipe: () => wipe(manager),
    emptied: (space) => emptied(manager, space),
    async [Symbol.asyncDispose]() {
      await nc.close()
      await server[Symbol.asyncDispose]()
    },
  }
}

async function wipe(manager: JetStreamManager): Promise<void> {
  for await (const name of manager.streams.names()) await manager.streams.delete(name)
}

async function emptied(manager: JetStreamManager, space: string): Promise<number> {
  // Found by its subject, because the names of the two sides differ.
  const stream = await manager.streams.find(subjectOf(space))
  while (await isBusy(manager, stream)) {
    // Depth has no event in JetStream: asking every few milliseconds is how it is watched.
    await sleep(2)
  }
  return nowMs()
}

// By the consumers, not by the stream's size: the bare loop keeps its schedules in the same stream.
async function isBusy(manager: JetStreamManager, stream: string): Promise<boolean> {
  for await (const { num_pending, num_ack_pending } of manager.consumers.list(stream)) {
    if (num_pending + num_ack_pending > 0) return true
  }
  return false
}
