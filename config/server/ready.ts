/** Whether a nats-server answers: by the first bytes of its own protocol, so that configuration needs no NATS client. */
import { connect } from 'node:net'

import { sleep } from '../../runtime/time/clock.ts'

/** What a nats-server says of itself when somebody connects. */
export interface ServerInfo {
  readonly server_name: string
  readonly version: string
  readonly jetstream?: boolean
  readonly tls_required?: boolean
  readonly auth_required?: boolean
}

/** The INFO of the server at a loopback port; undefined when nothing, or something else, listens there. */
export function readInfo(port: number, host = '127.0.0.1', patienceMs = 1000): Promise<ServerInfo | undefined> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect({ port, host, timeout: patienceMs })
    const settle = (info?: ServerInfo): void => {
      socket.destroy()
      resolve(info)
    }
    socket.on('error', () => settle())
    socket.on('timeout', () => settle())
    socket.on('close', () => resolve(undefined))
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (text.length > 65_536 || !'INFO '.startsWith(text.slice(0, 5))) settle()
      else if (text.includes('\r\n')) settle(parseInfo(text))
    })
  })
}

function parseInfo(text: string): ServerInfo | undefined {
  try {
    return JSON.parse(text.slice(5, text.indexOf('\r\n'))) as ServerInfo
  } catch {
    return undefined
  }
}

/**
 * Waits until the server at `port` answers by its own name, for the port may be another's. nats-server opens the port after its JetStream has recovered its data, so a server
 * that answers is ready. Ends early, with undefined, when `signal` is aborted: the process has ended, or time is up.
 */
export async function whenReady(port: number, name: string, signal: AbortSignal): Promise<ServerInfo | undefined> {
  while (!signal.aborted) {
    const info = await readInfo(port)
    if (info?.server_name === name) return info
    await sleep(10, signal).catch(() => {})
  }
  return undefined
}
