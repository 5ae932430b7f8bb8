/** What runs in the keeper's thread. See keeper.ts. */
import { parentPort, workerData } from 'node:worker_threads'

import { clockOffset, systemClock } from '../time/clock.ts'
import { watchBeats, type Place } from './beats.ts'
import { Connection } from './connection.ts'
import { streamOf } from './delivery.ts'
import type { KeeperData, KeeperMessage } from './keeper.ts'
import { ROW, SAFE_SHARE } from './leases.ts'
import { Replies } from './replies.ts'

interface Table {
  readonly rows: Float64Array
  readonly leaseMs: number
  readonly isInline: boolean
  readonly prefixes: Map<number, string>
}

const WORKING = Buffer.from('+WPI')
/** Heartbeats go out three times in a lease; the table is looked at twice as often. */
const HEARTBEATS_PER_LEASE = 3

const { settings, clockOffset: readerOffset, beats } = workerData as KeeperData
/** From this thread's monotonic time to that of the thread that reads the table. */
const toReader = clockOffset() - readerOffset
const connection = await Connection.open({ ...settings, name: `${settings.name ?? 'troupe'} keeper` })
const replies = new Replies(connection, settings.requestTimeoutMs)
const tables = new Map<number, Table>()
let timer: NodeJS.Timeout | undefined
const watch = watchBeats(beats, {
  connection,
  replies,
  domain: settings.domain,
  now: () => systemClock.monotonic() + toReader,
  running: () => [...tables.values()].filter(({ isInline }) => isInline).flatMap(runningIn),
})

parentPort?.on('message', (message: KeeperMessage) => {
  switch (message.kind) {
    case 'table':
      tables.set(message.table, {
        rows: new Float64Array(message.memory),
        leaseMs: message.leaseMs,
        isInline: message.isInline,
        prefixes: new Map(),
      })
      return schedule()
    case 'prefix':
      return void tables.get(message.table)?.prefixes.set(message.number, message.prefix)
    case 'drop':
      return void tables.delete(message.table)
    case 'stop':
      return void stop()
    default:
      return message satisfies never
  }
})
parentPort?.postMessage('ready')

function schedule(): void {
  clearInterval(timer)
  const shortest = Math.min(...[...tables.values()].map((table) => table.leaseMs))
  timer = setInterval(
    () => {
      for (const table of tables.values()) extend(table)
    },
    shortest / HEARTBEATS_PER_LEASE / 2,
  )
}

function extend(table: Table): void {
  const now = systemClock.monotonic() + toReader
  const due = table.leaseMs / HEARTBEATS_PER_LEASE
  for (let row = 0; row < table.rows.length; row += ROW.size) {
    const at = (field: number): number => table.rows[row + field] ?? 0
    if (at(ROW.sequence) === 0 || now > at(ROW.keepUntil) || now - at(ROW.confirmedAt) < due) continue
    if (now - at(ROW.confirmedAt) >= table.leaseMs * SAFE_SHARE) continue
    heartbeat(table, row, now)
  }
}

function heartbeat({ rows, leaseMs, prefixes }: Table, row: number, sentAt: number): void {
  const at = (field: number): number => rows[row + field] ?? 0
  const sequence = at(ROW.sequence)
  const prefix = prefixes.get(at(ROW.subject))
  if (prefix === undefined) return
  // The server reads count and sequences of an ack subject; time and pending may be anything (nats-server, ackReplyInfo).
  const subject = `${prefix}.${at(ROW.count)}.${sequence}.${at(ROW.consumerSequence)}.0.0`
  replies.request({
    subject,
    payload: WORKING,
    repeatUntil: systemClock.monotonic() + leaseMs / HEARTBEATS_PER_LEASE,
    onReply: (reply) => {
      // 503: nobody took it. Another delivery may have the row by now. And the server confirms a heartbeat to whoever sends
      // it, also when the lease has lapsed and the message is another's: it counts only while the last one surely holds.
      if (reply.headers?.hasError || at(ROW.sequence) !== sequence) return
      if (systemClock.monotonic() + toReader - at(ROW.confirmedAt) < leaseMs * SAFE_SHARE)
        rows[row + ROW.confirmedAt] = sentAt
    },
    onError: () => {
      // The next look sends the next one; if none is confirmed in time the reader aborts the run.
    },
  })
}

/** Places in their streams of what runs now. */
function runningIn({ rows, prefixes }: Table): Place[] {
  const places: Place[] = []
  for (let row = 0; row < rows.length; row += ROW.size) {
    const sequence = rows[row + ROW.sequence] ?? 0
    const prefix = prefixes.get(rows[row + ROW.subject] ?? 0)
    if (sequence > 0 && prefix !== undefined) places.push({ stream: streamOf(prefix), sequence })
  }
  return places
}

async function stop(): Promise<void> {
  clearInterval(timer)
  watch.stop()
  replies.close()
  await connection.close()
  parentPort?.close()
}
