import { connect, defineActor, type Troupe } from 'troupe'

import { nowMs } from '../clock.ts'
import { payload, stamped, type Payload } from '../payload.ts'
import { pacing, pumping } from '../pumping.ts'
import type { SenderRole } from '../roles.ts'

let client: Troupe
// The sender holds the actor's definition, as a service in the same repository does; its handler never runs here.
const bench = defineActor('bench', { concurrency: 1, messages: { noop: async (_payload: Payload) => undefined } })

/** A client of the runtime. */
export const role: SenderRole = {
  async start({ url, space }) {
    client = await connect({ servers: url, namespace: space })
  },
  pump: (count, window) => pumping(count, window, send),
  pace: (count, everyMs) => pacing(count, everyMs, sendStamped),
  async ask(count) {
    const took: number[] = []
    for (let n = 0; n < count; n++) took.push(await askOnce(n))
    return took
  },
  later: (dues) => pumping(dues.length, 2048, (n) => sendLater(n, dues[n] ?? 0)),
  recur: (count) => pumping(count, 64, recur),
  stop: () => client.close(),
}

function send(n: number): Promise<unknown> {
  return client.send(bench.noop, payload(n))
}

function sendStamped(n: number): Promise<unknown> {
  return client.send(bench.noop, stamped(n))
}

async function askOnce(n: number): Promise<number> {
  const begun = nowMs()
  await client.ask(bench.noop, payload(n))
  return nowMs() - begun
}

function recur(n: number): Promise<unknown> {
  return client.schedules.put(`s${n}`, { every: '1s', overlap: 'allow', send: bench.noop.with(payload(n, 0)) })
}

function sendLater(n: number, due: number): Promise<unknown> {
  return client.send(bench.noop, payload(n, due), { at: new Date(due) })
}
