import { handling } from '../handling.ts'
import { memoryNow, Meter } from '../meter.ts'
import type { WorkerRole } from '../roles.ts'
import type { System } from './planned.ts'
import { troupe } from './planned.ts'

let meter: Meter
let system: System

/** A system of the runtime with the one actor of the bench. */
export const role: WorkerRole = {
  async start({ url, space, concurrency, handler, marks }) {
    meter = new Meter(marks)
    const handle = handling(handler, meter)
    const bench = troupe.defineActor('bench', { concurrency, messages: { noop: async (payload) => handle(payload) } })
    system = await troupe.run({ actors: [bench], nats: { servers: [url] }, namespace: space, signals: false })
  },
  mark: (index) => meter.mark(index),
  samples: async () => meter.samples,
  memory: async () => memoryNow(),
  stop: () => system.stop(),
}
