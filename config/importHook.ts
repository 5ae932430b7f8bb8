/**
 * A module hook, run in Node's loader thread: TypeScript of the user's is an ES module, whatever the next package.json says.
 *
 * `npm init` writes `"type": "commonjs"` or nothing, and tsx then compiles `import` to `require`, which can't load Troupe
 * (an ES module) or loads it twice. The same goes for JavaScript that uses `import` without saying so.
 */
import { readFile } from 'node:fs/promises'
import type { ResolveHook } from 'node:module'
import { fileURLToPath } from 'node:url'

const statement = /^\s*(?:import\s*["'{*\w]|export\s*[{*\w])/m

export const resolve: ResolveHook = async (specifier, context, nextResolve) => {
  const found = await nextResolve(specifier, context)
  if (found.format === 'module' || !found.url.startsWith('file:') || found.url.includes('/node_modules/')) return found
  return (await isModule(found.url)) ? { ...found, format: 'module' } : found
}

async function isModule(url: string): Promise<boolean> {
  const path = new URL(url).pathname
  if (/\.tsx?$/.test(path)) return true
  return path.endsWith('.js') && statement.test(await readFile(fileURLToPath(url), 'utf8').catch(() => ''))
}
