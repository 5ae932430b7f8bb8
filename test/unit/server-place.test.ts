import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { putInPlace } from '#config/server/place.js'

const ROUNDS = 50
const MANY = 8

async function emptyFolder() {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-place-'))
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) }
}

const isGood = async (path: string): Promise<boolean> =>
  (await readFile(path, 'utf8').catch(() => '')).startsWith('good')

/** What each of many brings: a good file of its own. */
async function brought(dir: string, round: number): Promise<string[]> {
  const files = Array.from({ length: MANY }, (_, n) => join(dir, `brought-${round}-${n}`))
  await Promise.all(files.map((file) => writeFile(file, `good, from ${file}`)))
  return files
}

/** The place as it may be found: nothing there, an empty folder, a broken file, one that is cut off. */
async function prepare(folder: string, round: number): Promise<void> {
  const state = round % 4
  if (state > 0) await mkdir(folder)
  if (state > 1) await writeFile(join(folder, 'server'), state === 2 ? 'broken' : '')
}

/** Puts what it is told to in its place, when it is told to. */
const putting = `
  import { putInPlace } from ${JSON.stringify(import.meta.resolve('#config/server/place.js'))}
  import { readFile } from 'node:fs/promises'
  const isGood = async (path) => (await readFile(path, 'utf8').catch(() => '')).startsWith('good')
  process.on('message', async ([from, to]) => {
    const said = await putInPlace(from, to, isGood).then(() => isGood(to), (error) => String(error))
    process.send(said)
  })
  process.send('ready')
`

async function processes(dir: string, count: number) {
  const script = join(dir, 'putting.mjs')
  await writeFile(script, putting)
  const all = Array.from({ length: count }, () => fork(script, { execArgv: [] }))
  await Promise.all(all.map((child) => once(child, 'message')))
  return { all, [Symbol.asyncDispose]: async () => void (await Promise.all(all.map(ended))) }
}

async function ended(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.disconnect()
  await exited
}

describe('a file is put in its place', () => {
  it('by eight at once, over nothing or a broken one, and once there it is good at every moment', async () => {
    await using folder = await emptyFolder()
    for (let round = 0; round < ROUNDS; round++) {
      const place = join(folder.dir, `place-${round}`)
      await prepare(place, round)
      const files = await brought(folder.dir, round)
      // Each looks right after its own turn, while the others still put theirs.
      const seen = await Promise.all(
        files.map((file) => putInPlace(file, join(place, 'server'), isGood).then(() => isGood(join(place, 'server')))),
      )
      expect(seen).toEqual(files.map(() => true))
      expect(await readdir(place)).toEqual(['server'])
    }
    expect((await readdir(folder.dir)).filter((name) => name.startsWith('brought'))).toEqual([])
  })

  it('by four processes at once, fifty times', async () => {
    await using folder = await emptyFolder()
    await using children = await processes(folder.dir, 4)
    for (let round = 0; round < ROUNDS; round++) {
      const place = join(folder.dir, `place-${round}`)
      await prepare(place, round)
      const files = await brought(folder.dir, round)
      const seen = children.all.map(async (child, n) => {
        const said = once(child, 'message')
        child.send([files[n], join(place, 'server')])
        return ((await said) as [unknown])[0]
      })
      expect(await Promise.all(seen)).toEqual(children.all.map(() => true))
      expect(await readdir(place)).toEqual(['server'])
    }
  })

  it('or leaves what is there when that is good and can not be replaced, and says why when it is not', async () => {
    await using folder = await emptyFolder()
    const place = join(folder.dir, 'place')
    // A folder in the place of the file: what no rename of a file replaces, on any system, whoever the user is.
    await mkdir(join(place, 'server', 'in the way'), { recursive: true })
    const [file] = await brought(folder.dir, 0)
    const put = (good: boolean): Promise<void> => putInPlace(file ?? '', join(place, 'server'), async () => good)
    await expect(put(true)).resolves.toBeUndefined()
    await expect(put(false)).rejects.toThrow(/server/)
    expect(await readFile(file ?? '', 'utf8')).toMatch(/^good/)
  })
})
