/** The scenario with the older `nats` package; legacyClient.test.ts has what is particular to it. */
import { connect, headers } from 'nats'

import { wireOver } from './clients/library.ts'
import { clientOver } from './clients/verbs.ts'
import { speaks } from './scenario/speaks.ts'

speaks('the older nats package', async ({ server, namespace }) => {
  const nc = await connect({ servers: server.url })
  return clientOver(wireOver(nc, headers), namespace)
})
