/** The process that links.ts starts: TCP links to the given ports, in one event loop that nobody else blocks. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

import type { LinkState } from './links.ts'

interface Link {
  readonly port: number
  set(state: LinkState): void
}

process.once('disconnect', () => process.exit(0))
const links = await Promise.all((JSON.parse(process.argv[2] ?? '[]') as number[]).map(startLink))
process.on('message', ({ link, state, serial }: { link: number; state: LinkState; serial: number }) => {
  links[link]?.set(state)
  process.send?.({ serial })
})
process.send?.({ ports: links.map(({ port }) => port) })

async function startLink(to: number): Promise<Link> {
  const sockets = new Set<Socket>()
  let now: LinkState = 'open'
  const join = (from: Socket, into: Socket): void => {
    sockets.add(from)
    from.setNoDelay(true)
    from.on('data', (bytes) => void (now === 'open' && into.write(bytes)))
    // Broken on purpose: no news.
    from.on('error', () => {})
    from.on('close', () => {
      sockets.delete(from)
      into.destroy()
    })
  }
  const server = createServer((near) => {
    if (now === 'cut') return void near.destroy()
    const far = connect(to, '127.0.0.1')
    join(near, far)
    join(far, near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const set = (state: LinkState): void => {
    // What was swallowed leaves both sides with half of a conversation: they begin anew.
    const isBroken = state === 'cut' || (state === 'open' && now === 'silent')
    now = state
    if (isBroken) for (const socket of sockets) socket.destroy()
  }
  return { port: (server.address() as AddressInfo).port, set }
}
