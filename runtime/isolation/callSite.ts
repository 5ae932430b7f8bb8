/** Where a function was called from: so that a thread or process can load the module that defines its actor. */
import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'

/** URL of the file that called `callee`; undefined where that is no file (a prompt, evaluated text). */
export function callerOf(callee: (...args: never[]) => unknown): string | undefined {
  // oxlint-disable-next-line typescript/unbound-method -- it is put back, not called
  const { prepareStackTrace, stackTraceLimit } = Error
  const holder: { stack?: unknown } = {}
  try {
    Error.stackTraceLimit = 1
    // The structured stack: its text is rewritten by source maps, and would name a file that nobody can load.
    Error.prepareStackTrace = (_error, sites) => sites
    Error.captureStackTrace(holder, callee)
    const [site] = holder.stack as readonly NodeJS.CallSite[]
    return fileUrl(site?.getFileName())
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    Error.prepareStackTrace = prepareStackTrace
  }
}

/** A path or URL of a file as a URL without query: what a loader adds there is its own. */
export function fileUrl(name: string | null | undefined): string | undefined {
  if (name === null || name === undefined) return undefined
  if (isAbsolute(name)) return pathToFileURL(name).href
  if (!name.startsWith('file:') || !URL.canParse(name)) return undefined
  const url = new URL(name)
  url.search = ''
  url.hash = ''
  return url.href
}
