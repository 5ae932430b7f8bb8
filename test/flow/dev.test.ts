/** `troupe dev` as a person uses it: files change, break and are mended while it runs. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { makeProject, type Project, type Running } from '../kit/cli.ts'

const actor = `
  import { defineActor } from 'troupe'
  import { word } from './word.ts'
  export const echo = defineActor('echo', { messages: {
    say: async () => word,
    hang: async () => { console.log('hanging'); await new Promise(() => {}) },
    crash: async () => { setTimeout(() => { throw new Error('out of the blue') }) },
  } })`

let project: Project
let dev: Running

const word = (text: string): Promise<void> => project.write('actors/word.ts', `export const word = '${text}'`)

/** Each step waits for what this one made it print. */
async function ask(): Promise<string> {
  const { stdout, stderr, code } = await project.troupe('ask', 'echo.say', '{}', '--timeout', '10s')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout.trim()
}

beforeAll(async () => {
  project = await makeProject({ files: { 'actors/echo.ts': actor, 'templates/mail.html': 'hello' } })
  await word('one')
  dev = project.background('dev', 'actors/echo.ts', '--watch', 'templates/**/*.html')
  await dev.says('ready in')
})

afterAll(async () => {
  await project?.[Symbol.asyncDispose]()
})

describe('troupe dev', () => {
  it('runs the actors and restarts them when a file changes that they import', async () => {
    expect(await ask()).toBe('"one"')
    await word('two')
    await dev.says('actors/word.ts changed', 1)
    await dev.says('ready in', 2)
    expect(await ask()).toBe('"two"')
  })

  it('waits for the next change when a file can not be run, without a loop, and goes on then', async () => {
    await project.write('actors/word.ts', 'export const word = ')
    await dev.says('waiting for a change', 1)
    expect(dev.output().match(/could not be loaded/g)).toHaveLength(1)
    await word('three')
    await dev.says('ready in', 3)
    expect(await ask()).toBe('"three"')
    expect(dev.output().match(/could not be loaded/g)).toHaveLength(1)
  })

  it('waits for a file that is missing, and starts when it comes', async () => {
    await project.write('actors/echo.ts', actor.replace('./word.ts', './words.ts'))
    await dev.says('waiting for a change', 2)
    await project.write('actors/words.ts', "export const word = 'four'")
    await dev.says('ready in', 4)
    expect(await ask()).toBe('"four"')
  })

  it('restarts for files that a glob names, also new ones', async () => {
    await project.write('templates/deep/new.html', 'new')
    await dev.says('templates/deep/new.html changed', 1)
    await dev.says('ready in', 5)
  })

  it('gives a handler that hangs little time, and goes on with the same server and its data', async () => {
    const server = await readFile(join(project.dir, '.troupe', 'server.json'), 'utf8')
    await project.troupe('send', 'echo.hang', '{}', '--id', 'hung')
    await dev.says('hanging', 1)
    await word('unused')
    await project.write('actors/words.ts', "export const word = 'five'")
    // The message was given back, so it hangs again, in the new process.
    await dev.says('hanging', 2)
    expect(await ask()).toBe('"five"')
    expect(await readFile(join(project.dir, '.troupe', 'server.json'), 'utf8')).toBe(server)
    await project.troupe('cancel', 'echo', 'hung')
  })

  it('tells a crash and waits for a change', async () => {
    await project.troupe('send', 'echo.crash', '{}', '--id', 'crash')
    await dev.says('out of the blue', 1)
    await dev.says('waiting for a change', 3)
    await project.troupe('cancel', 'echo', 'crash')
  })

  it('is back in well under a second', () => {
    const [, ...restarts] = [...dev.output().matchAll(/ready in (\d+) ms/g)].map(([, ms]) => Number(ms))
    // The fastest of them: on a busy machine a change may come before the next process waits.
    expect(restarts.length).toBeGreaterThan(3)
    expect(Math.min(...restarts)).toBeLessThan(1_000)
  })

  it('restarts by a key', async () => {
    dev.type('r\n')
    await dev.says('troupe: restarting', 1)
  })

  it('ends with everything that it started, the server too', async () => {
    dev.signal('SIGTERM')
    expect((await dev.ended).code).toBe(0)
    await expect.poll(() => existsSync(join(project.dir, '.troupe', 'server.json')), { timeout: 10_000 }).toBe(false)
  })
})
