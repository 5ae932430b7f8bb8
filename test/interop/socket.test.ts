/** A service with nothing but a TCP socket: no library, the words of NATS written by hand. */
import { openSocket } from './clients/socket.ts'
import { clientOver } from './clients/verbs.ts'
import { speaks } from './scenario/speaks.ts'

speaks('a bare socket', async ({ server, namespace }) => clientOver(await openSocket(server.url), namespace))
