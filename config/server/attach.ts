/** One user's side of the connection to a guardian: kept open for as long as the server is used. */
import { connect, type Socket } from 'node:net'

import type { Claim } from './claim.ts'
import { signal } from './watched.ts'

/** What a guardian says, one JSON object a line. */
export type GuardianState =
  | { readonly kind: 'starting' }
  | {
      readonly kind: 'ready'
      readonly url: string
      readonly port: number
      readonly pid: number
      readonly version: string
    }
  | { readonly kind: 'stopping' }
  | { readonly kind: 'failed'; readonly reason: string }

/** How an attempt to attach went. `gone`: it spoke, and ended before it was ready: look again. */
export type Attached =
  | { readonly kind: 'ready'; readonly socket: Socket; readonly state: Extract<GuardianState, { kind: 'ready' }> }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'gone' }
  | { readonly kind: 'dead' }
  | { readonly kind: 'silent' }

const longestSilenceMs = 5000

/** Connects to the guardian of a claim, and waits until its server is ready. `onState` hears all that it says, later too. */
export function attach(claim: Claim, onState?: (state: GuardianState) => void): Promise<Attached> {
  return new Promise((resolve) => {
    const socket = connect({ port: claim.port, host: '127.0.0.1' })
    let spoke = false
    const settle = (result: Attached): void => {
      clearTimeout(silence)
      if (result.kind !== 'ready') socket.destroy()
      resolve(result)
    }
    const nobody = (): void => settle({ kind: spoke ? 'gone' : 'dead' })
    // A living guardian answers at once. One that is stopped (SIGSTOP) is not dead, and must not get a rival on its data.
    const silence = setTimeout(() => settle({ kind: signal(claim.pid, 0) ? 'silent' : 'dead' }), longestSilenceMs)
    socket.on('error', nobody).on('close', nobody)
    socket.write(`${claim.token}\n`)
    eachLine(socket, (line) => {
      const state = parseState(line)
      if (state === undefined) return settle({ kind: 'dead' })
      spoke = true
      onState?.(state)
      clearTimeout(silence)
      if (state.kind === 'ready') settle({ kind: 'ready', socket, state })
      if (state.kind === 'failed') settle(state)
    })
  })
}

/** Calls `onLine` with each line that arrives. */
export function eachLine(socket: Socket, onLine: (line: string) => void): void {
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('utf8')
    const lines = text.split('\n')
    text = (lines.pop() ?? '').slice(0, 65_536)
    for (const line of lines) onLine(line)
  })
}

function parseState(line: string): GuardianState | undefined {
  try {
    const state = JSON.parse(line) as GuardianState
    return ['starting', 'ready', 'stopping', 'failed'].includes(state.kind) ? state : undefined
  } catch {
    return undefined
  }
}
