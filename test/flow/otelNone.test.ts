/** Without an SDK of OpenTelemetry nothing is added to messages, and what others traced is passed on. */
import { jetstreamManager } from '@nats-io/jetstream'
import { defineActor } from 'troupe'
import { expect, it } from 'vitest'

import { isTracing } from '#runtime/observe/tracing.js'

import { testBundle } from '../kit/system.ts'

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

const leaf = defineActor('leaf', { messages: { end: (_payload: unknown, ctx) => ({ ...ctx.headers }) } })
const tree = defineActor('tree', { messages: { begin: (_payload: unknown, ctx) => ctx.ask(leaf.end, undefined) } })

it('no header is added', async () => {
  await using t = await testBundle()
  expect(isTracing()).toBe(false)
  await t.troupe.send(leaf.end, undefined, { id: 'plain' })
  const jsm = await jetstreamManager(t.troupe.connection)
  const stored = await jsm.streams.getMessage(`${t.namespace}-mailbox-leaf`, { seq: 1 })
  expect(stored?.header.keys()).toEqual(['Nats-Msg-Id'])
})

it('a trace that a message came with is passed on to what its handler sends', async () => {
  await using t = await testBundle({ actors: [leaf, tree] })
  const headers = { traceparent: TRACE, tracestate: 'vendor=1' }
  expect(await t.troupe.ask(tree.begin, undefined, { headers })).toMatchObject(headers)
})
