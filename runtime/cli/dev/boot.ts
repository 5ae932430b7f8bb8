/**
 * Loaded into each process of `troupe dev` before the command itself: it loads what every start needs, then waits at its gate
 * until the parent says "go". So a restart does not pay for Node, Troupe and the TypeScript compiler: they are there already.
 *
 * It tells the parent which files of the user's are imported (bootHook.ts), and ends the process gracefully when its parent
 * is gone, however that ended.
 */
import { createRequire, register } from 'node:module'
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'

import { readyForTypeScript } from '../../../config/importFile.ts'
import type { Imported } from './bootHook.ts'

/** What a process of `troupe dev` tells its parent. */
export type FromChild =
  /** It is at its gate. */
  | { readonly kind: 'waiting' }
  /** It imports these files, or would if they were there; absolute paths. */
  | { readonly kind: 'files' | 'missing'; readonly paths: readonly string[] }
  /** Its system has started: what `troupe start` says to any parent that listens, in the word that process managers know. */
  | 'ready'

const LOOK_MS = 500

function tell(message: FromChild): void {
  if (process.connected) process.send?.(message)
}

const { port1, port2 } = new MessageChannel()
const tellFile = ({ path, isMissing }: Imported): void => tell({ kind: isMissing ? 'missing' : 'files', paths: [path] })
port1.on('message', tellFile)
port1.unref()
// A file that is missing ends the process at once: what the hook said of it may still wait to be read.
process.on('exit', () => {
  for (let next = receiveMessageOnPort(port1); next !== undefined; next = receiveMessageOnPort(port1))
    tellFile(next.message as Imported)
})
// First: hooks that come later stand before it, and it sees what they make of a name.
register(new URL('bootHook.js', import.meta.url).href, { data: { port: port2 }, transferList: [port2] })
await Promise.all([import('../start.ts'), readyForTypeScript()])

process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'))
tell({ kind: 'waiting' })
await new Promise<void>((resolve) => process.once('message', () => resolve()))

// What CommonJS files require is known to nobody but their cache.
const { cache } = createRequire(import.meta.url)
const known = new Set(Object.keys(cache))
const look = setInterval(() => {
  const paths = Object.keys(cache).filter((path) => !known.has(path) && !path.includes('/node_modules/'))
  for (const path of paths) known.add(path)
  if (paths.length > 0) tell({ kind: 'files', paths })
}, LOOK_MS)
look.unref()
// Listening to its parent must not keep a process that has nothing more to do.
process.channel?.unref()
