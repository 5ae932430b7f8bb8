/**
 * Imports a file of the user's, TypeScript or JavaScript, as it is.
 *
 * TypeScript goes through tsx, registered for the whole process and not by `tsImport`: a module that `tsImport` loads
 * gets its own copy of everything it imports, so the file's `troupe` would not be the `troupe` that runs it (tried; a test holds it).
 * Plain JavaScript is left to Node while no TypeScript was loaded. importHook.ts says what tsx is not told by itself.
 */
import { register as registerHook } from 'node:module'
import { extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

let registered = false

/** The module's exports. Imported again, a file is not run again. Errors of the file itself come through as they are. */
export async function importFile(path: string): Promise<Record<string, unknown>> {
  if (['.ts', '.mts', '.tsx'].includes(extname(path))) await readyForTypeScript()
  return (await import(pathToFileURL(resolve(path)).href)) as Record<string, unknown>
}

/** Makes this process able to import TypeScript; `importFile` does it where it has to. */
export async function readyForTypeScript(): Promise<void> {
  if (registered) return
  registered = true
  const { register } = await import('tsx/esm/api')
  register()
  registerHook(new URL('importHook.js', import.meta.url).href)
}
