import { defineActor, run, type ScheduleContext, type System } from 'troupe'

import { handling } from '../handling.ts'
import { memoryNow, Meter } from '../meter.ts'
import type { Payload } from '../payload.ts'
import type { WorkerRole } from '../roles.ts'

let meter: Meter
let system: System

/** A system of the runtime with the one actor of the bench. */
export const role: WorkerRole = {
  async start({ url, space, concurrency, handler, marks, events = 'failures', keepEvents }) {
    meter = new Meter(marks)
    const handle = handling(handler, meter)
    const bench = defineActor('bench', {
      concurrency,
      messages: { noop: async (payload: Payload, ctx) => handle(dueOf(payload, ctx.schedule)) },
    })
    system = await run({
      actors: [bench],
      nats: { servers: [url] },
      namespace: space,
      signals: false,
      logLevel: 'warn',
      events,
      ...(keepEvents === undefined ? {} : { retention: { events: keepEvents } }),
    })
  },
  mark: (index) => meter.mark(index),
  samples: async () => meter.samples,
  memory: async () => {
    await atRest()
    return memoryNow()
  },
  stop: () => system.stop(),
}

/** A message of a schedule says when it was due; its payload is the same each time. */
function dueOf(payload: Payload, schedule: ScheduleContext | undefined): Payload {
  return schedule === undefined ? payload : { ...payload, due: schedule.planned.getTime() }
}

/** What is on its way into the server is not what a worker keeps: wait until its timer has held nothing for a second. */
async function atRest(): Promise<void> {
  for (let quiet = 0; quiet < 20; quiet++) {
    if ((system.timers.get('bench')?.holding ?? 0) > 0) quiet = 0
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
