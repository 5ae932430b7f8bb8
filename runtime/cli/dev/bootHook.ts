/**
 * A module hook, run in Node's loader thread: tells which files are imported. Also of those that can't be found: the file that
 * is missing now is the one whose coming mends it.
 */
import type { InitializeHook, ResolveHook } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { MessagePort } from 'node:worker_threads'

/** A file that was asked for. */
export interface Imported {
  readonly path: string
  /** It is not there. */
  readonly isMissing: boolean
}

let port: MessagePort | undefined

export const initialize: InitializeHook<{ port: MessagePort }> = (data) => {
  port = data.port
}

export const resolve: ResolveHook = async (specifier, context, nextResolve) => {
  try {
    const found = await nextResolve(specifier, context)
    tell(found.url, false)
    return found
  } catch (error) {
    const isRelative = /^\.{0,2}\//.test(specifier) && context.parentURL !== undefined
    if (isRelative) tell(new URL(specifier, context.parentURL).href, true)
    throw error
  }
}

function tell(url: string, isMissing: boolean): void {
  if (!url.startsWith('file:') || url.includes('/node_modules/') || url.startsWith(OWN)) return
  // Loaders add questions to addresses, and ours must not count twice.
  const imported: Imported = { path: fileURLToPath(url.split('?', 1)[0] ?? url), isMissing }
  port?.postMessage(imported)
}

/** Troupe's own files: they change when it is built, not while it is used. */
const OWN = new URL('../../../', import.meta.url).href
