import { startSender } from '../child.ts'
import type { Measure } from '../measure.ts'
import { inTurn } from '../measure.ts'

/** 512 in flight, one promise each, ids: messages stored a second. */
export const send: Measure = async (ground, plan) => {
  const [warm, count] = plan.quick ? [10_000, 40_000] : [40_000, 200_000]
  const rows = await inTurn(ground, plan, 5, async (side, space) => {
    await using sender = await startSender(side)
    await sender.call('start', { url: ground.url, space })
    await sender.call('pump', warm, 512, false)
    const sent = await sender.call('pump', count, 512, false)
    const value = (count / (sent.endedAt - sent.startedAt)) * 1000
    return { send: { value, cpuUs: sent.cpuUs / count, rssMb: sent.peakRssMb } }
  })
  return [rows('send', 'msg/s', { kind: 'share', atLeast: 0.6 })]
}
