/** `troupe contract` as a user runs it, and its types as a service uses them that has nothing else of the actor. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, it } from 'vitest'

import { makeProject, type Project } from '../kit/cli.ts'

const mailer = `
  import { defineActor } from 'troupe'
  import { z } from 'zod'
  export const mailer = defineActor('mailer', {
    description: 'Sends mail',
    messages: {
      welcome: { payload: z.object({ to: z.string(), tries: z.number().default(1) }), handle: async () => 'sent' },
      'any-thing': async () => 'whatever',
    },
  })`

/** A service that imports the types alone. Each line that must not compile says so. */
const service = `
  import { actorRef, connect } from 'troupe'
  import type { Mailer, MailerWelcome } from './contract.ts'

  const mailer = actorRef<Mailer>('mailer')
  const payload: MailerWelcome = { to: 'ada@example.com' }
  export async function main(): Promise<void> {
    await using troupe = await connect()
    await troupe.send(mailer.welcome, payload)
    await troupe.send(mailer.welcome, { to: 'ada@example.com', tries: 2 }, { delay: '1h' })
    const result: unknown = await troupe.ask(mailer['any-thing'], { any: 'thing' })
    // @ts-expect-error tries is a number
    await troupe.send(mailer.welcome, { to: 'ada@example.com', tries: 'two' })
    // @ts-expect-error to is missing
    await troupe.send(mailer.welcome, {})
    // @ts-expect-error there is no such message
    await troupe.send(mailer.goodbye, {})
    console.log(result)
  }`

const tsconfig = {
  compilerOptions: {
    target: 'ES2023',
    lib: ['ES2023', 'ESNext.Disposable'],
    module: 'NodeNext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [join(process.cwd(), 'node_modules/@types')],
  },
  files: ['service.ts'],
}

let project: Project
beforeAll(async () => {
  project = await makeProject({
    files: {
      'package.json': '{"type":"module","name":"shop","version":"1.2.0"}',
      'mailer.ts': mailer,
      'service.ts': service,
      'tsconfig.json': JSON.stringify(tsconfig),
      'troupe.config.json': '{"namespace":"shop","actors":["mailer.ts"]}',
    },
  })
  await mkdir(join(project.dir, 'node_modules'), { recursive: true })
  await symlink(join(process.cwd(), 'node_modules/zod'), join(project.dir, 'node_modules/zod'))
})
afterAll(() => project?.[Symbol.asyncDispose]())

it('troupe contract prints the contract of the configured actors as JSON, without asking NATS', async () => {
  const { code, stdout } = await project.troupe('contract')
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    contract: 1,
    application: { name: 'shop', version: '1.2.0' },
    namespace: 'shop',
    actors: [{ name: 'mailer', messages: [{ name: 'welcome', payload: { required: ['to'] } }, { name: 'any-thing' }] }],
  })
})

it('its TypeScript types are all that a service needs for actorRef', async () => {
  const written = await project.troupe('contract', 'mailer.ts', '--format', 'typescript', '--out', 'contract.ts')
  expect(written).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('contract.ts') as string })
  expect(await compiled(project.dir)).toBe('')
})

it('its AsyncAPI document is one, in the namespace that a flag gives', async () => {
  const out = join(project.dir, 'asyncapi.json')
  const { code } = await project.troupe('contract', '--format=asyncapi', '--out', out, '--namespace', 'other')
  expect(code).toBe(0)
  const document = JSON.parse(await readFile(out, 'utf8')) as { asyncapi: string; channels: Record<string, unknown> }
  expect(document.asyncapi).toBe('3.0.0')
  expect(document.channels['mailer.welcome']).toMatchObject({ address: 'other.do.mailer.welcome' })
})

it('says what is wrong with a format or a file', async () => {
  const format = await project.troupe('contract', '--format', 'asynapi')
  expect(format).toMatchObject({ code: 2, stderr: expect.stringContaining('did you mean "asyncapi"?') as string })
  const out = await project.troupe('contract', '--out', 'no/such/folder/contract.json')
  expect(out).toMatchObject({ code: 2, stderr: expect.stringContaining('expected --out to be a file') as string })
})

/** What the compiler says; nothing where it is content. */
function compiled(dir: string): Promise<string> {
  const tsc = join(process.cwd(), 'node_modules/typescript/bin/tsc')
  return new Promise((resolve) => {
    execFile(process.execPath, [tsc, '-p', dir], (error, stdout, stderr) => {
      resolve(error === null ? '' : `${stdout}${stderr}${error.message}`)
    })
  })
}
