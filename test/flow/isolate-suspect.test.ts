/** A message that is to be poison at its next crash has a thread or process for itself. */
import { expect, it } from 'vitest'

import { testBundle } from '../kit/system.ts'
import { crowded } from './fixtures/crowded.ts'

it('leaves room for others, however long it runs', { timeout: 60_000 }, async () => {
  await using t = await testBundle({ actors: [crowded], events: 'all' })
  await t.troupe.send(crowded.long, undefined)
  await t.events.wait('started', { where: ({ message }) => message === 'long' })
  await t.troupe.send(crowded.exit, undefined)
  const started = { where: ({ message }: { message: string }) => message === 'long', count: 3, timeoutMs: 20_000 }
  await t.events.wait('started', started)
  expect(t.events.of('crashed')).toHaveLength(4)
  for (let message = 0; message < 5; message++)
    expect(await t.troupe.ask(crowded.quick, undefined, { timeout: '8s' })).toBe('well')
})
