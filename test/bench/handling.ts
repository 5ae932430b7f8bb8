import { setTimeout as sleep } from 'node:timers/promises'

import { epochMs, nowMicros } from './clock.ts'
import type { Meter } from './meter.ts'
import type { Payload } from './payload.ts'
import type { Handler } from './roles.ts'

/** The handler that both sides run. It returns a promise only where it really waits. */
export function handling(handler: Handler, meter: Meter): (payload: Payload) => unknown {
  switch (handler.kind) {
    case 'nothing':
    case 'read':
      return () => meter.count()
    case 'answer':
      return ({ n }) => (meter.count(), { n })
    case 'latency':
      return ({ sentAt }) => sampled(meter, (nowMicros() - sentAt) / 1000)
    case 'lateness':
      return ({ due }) => sampled(meter, epochMs() - due)
    case 'sleep':
      return () => sleep(handler.ms).then(() => meter.count())
  }
}

function sampled(meter: Meter, value: number): void {
  meter.sample(value)
  meter.count()
}
