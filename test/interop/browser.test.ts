/**
 * A web page: the browser's NATS client (`wsconnect`) over a WebSocket of a real nats-server. Node 20 has no WebSocket of its own: `ws` stands in for
 * the browser's.
 */
import { headers, wsconnect } from '@nats-io/nats-core'
import { WebSocket } from 'ws'

import { freePort } from '../kit/server.ts'
import { wireOver } from './clients/library.ts'
import { clientOver } from './clients/verbs.ts'
import { speaks } from './scenario/speaks.ts'

Object.assign(globalThis, { WebSocket })
const port = await freePort()

speaks(
  "the browser's client",
  async ({ namespace }) => {
    const nc = await wsconnect({ servers: `ws://127.0.0.1:${port}` })
    return clientOver(wireOver(nc, headers), namespace)
  },
  `websocket { listen: "127.0.0.1:${port}", no_tls: true }`,
)
