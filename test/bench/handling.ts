import { setTimeout as sleep } from 'node:timers/promises'

import { epochMs, nowMicros } from './clock.ts'
import type { Meter } from './meter.ts'
import type { Payload } from './payload.ts'
import type { Handler } from './roles.ts'

type Handle = (payload: Payload) => unknown

/** The handler that both sides run. It returns a promise only where it really waits. */
export function handling(handler: Handler, meter: Meter): Handle {
  const table: { readonly [K in Handler['kind']]: Handle } = {
    nothing: () => meter.count(),
    read: () => meter.count(),
    answer({ n }) {
      meter.count()
      return { n }
    },
    latency: ({ sentAt }) => sampled(meter, (nowMicros() - sentAt) / 1000),
    lateness: ({ due }) => sampled(meter, epochMs() - due),
    // JetStream's own schedules don't say which second they stand for: the nearest one.
    recurring: ({ due }) => sampled(meter, due > 0 ? epochMs() - due : ((epochMs() + 500) % 1000) - 500),
    sleep: () => sleep(handler.kind === 'sleep' ? handler.ms : 0).then(() => meter.count()),
  }
  return table[handler.kind]
}

function sampled(meter: Meter, value: number): void {
  meter.sample(value)
  meter.count()
}
