import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

import { describe, expect, it } from 'vitest'

const actor = `
  import { ConfigError } from 'troupe'
  import { below } from './below.ts'
  enum Old { style }
  export const value: number = below + Old.style + (await Promise.resolve(0))
  export { ConfigError }
  export default { sender: 'typed' as string }`

/** Runs `code` as a program of Troupe's own, in a project that has Troupe as a dependency. */
async function run(packageJson: string, files: Record<string, string>, code: string): Promise<unknown> {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-import-'))
  try {
    for (const [name, text] of Object.entries({
      'package.json': packageJson,
      'below.ts': 'export const below = 41',
      ...files,
    })) {
      await mkdir(dirname(join(dir, name)), { recursive: true })
      await writeFile(join(dir, name), text)
    }
    await mkdir(join(dir, 'node_modules'))
    await symlink(process.cwd(), join(dir, 'node_modules', 'troupe'))
    const dist = JSON.stringify(join(process.cwd(), 'dist'))
    const script = `
      import * as troupe from ${dist.slice(0, -1)}/runtime/index.js"
      import { importFile, loadConfig } from ${dist.slice(0, -1)}/config/index.js"
      console.log(JSON.stringify(await (async () => { ${code} })()))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: dir })
    return JSON.parse(stdout)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

describe("a user's file", () => {
  it.each(['{"type":"module"}', '{"type":"commonjs"}', '{}'])(
    'in TypeScript gets the very Troupe that runs it, in a package %s',
    async (packageJson) => {
      const code = `
        const file = await importFile('./actor.ts')
        return { same: file.ConfigError === troupe.ConfigError, value: file.value }`
      expect(await run(packageJson, { 'actor.ts': actor }, code)).toEqual({ same: true, value: 41 })
    },
  )

  it.each(['{"type":"module"}', '{}'])(
    'in JavaScript too, before and after TypeScript, in a package %s',
    async (packageJson) => {
      const js = `import { ConfigError } from 'troupe'; export { ConfigError }`
      const code = `
      const files = [await importFile('./a.js'), await importFile('./actor.ts'), await importFile('./b.js')]
      return files.map((file) => file.ConfigError === troupe.ConfigError)`
      expect(await run(packageJson, { 'a.js': js, 'b.js': js, 'actor.ts': actor }, code)).toEqual([true, true, true])
    },
  )

  it('configures Troupe in TypeScript', async () => {
    const code = `return (await loadConfig({ env: {} })).config.sender`
    expect(await run('{}', { 'troupe.config.ts': actor }, code)).toBe('typed')
  })

  it('that is broken says where', async () => {
    const code = `return await loadConfig({ env: {} }).catch((error) => error.message)`
    expect(await run('{}', { 'troupe.config.ts': 'export default {' }, code)).toMatch(/troupe\.config\.ts.*1:16/s)
  })
})
