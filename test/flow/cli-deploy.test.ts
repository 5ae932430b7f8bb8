import { afterAll, beforeAll, expect, it } from 'vitest'

import { makeProject, type Project } from '../kit/cli.ts'
import { startServer, type TestServer } from '../kit/server.ts'

const mailer = (mailbox: string, lease: string): string => `
  import { defineActor } from 'troupe'
  export const mailer = defineActor('mailer', {
    lease: '${lease}', mailbox: ${mailbox}, messages: { welcome: async () => 'welcomed' } })`

interface Report {
  readonly assets: {
    kind: string
    name: string
    state: string
    differences: { key: string; have: unknown; want: unknown }[]
  }[]
}

let server: TestServer
let project: Project

beforeAll(async () => {
  server = await startServer()
  const files = {
    'mailer.ts': mailer('{ maxMessages: 100 }', '30s'),
    'wider.ts': mailer('{ maxMessages: 200 }', '20s'),
    'narrower.ts': mailer('{ maxMessages: 50 }', '20s'),
  }
  project = await makeProject({ files, env: { TROUPE_NATS_SERVERS: server.url } })
})

afterAll(async () => {
  await project?.[Symbol.asyncDispose]()
  await server?.stop()
})

async function deploy(code: number, ...args: string[]): Promise<Report['assets']> {
  const ended = await project.troupe('deploy', '--json', ...args)
  expect(ended).toMatchObject({ code })
  return (JSON.parse(ended.stdout) as Report).assets
}

const states = (assets: Report['assets']): string[] => [...new Set(assets.map(({ state }) => state))]

it('troupe deploy creates what is missing, applies what is safe, and leaves the rest with both values', async () => {
  const unmanaged = await project.troupe('start', 'mailer.ts', '--no-nats-manage')
  expect(unmanaged).toMatchObject({ code: 1, stderr: expect.stringContaining('troupe deploy') as string })

  expect(states(await deploy(0, 'mailer.ts', '--dry-run'))).toEqual(['created'])
  expect(states(await deploy(0, 'mailer.ts', '--no-nats-manage'))).toEqual(['created'])
  expect(states(await deploy(0, 'mailer.ts'))).toEqual(['same'])

  const worker = project.background('start', 'mailer.ts', '--no-nats-manage')
  await worker.says('troupe send')
  expect(await project.troupe('ask', 'mailer.welcome')).toMatchObject({ stdout: '"welcomed"\n' })
  worker.signal('SIGTERM')
  expect(await worker.ended).toMatchObject({ code: 0 })

  const wider = await deploy(0, 'wider.ts')
  expect(wider.find(({ name }) => name === 'troupe-mailbox-mailer')).toMatchObject({
    state: 'changed',
    differences: [{ key: 'max_msgs', have: 100, want: 200 }],
  })
  expect(wider.find(({ name }) => name === 'troupe-mailbox-mailer/normal')).toMatchObject({
    state: 'changed',
    differences: [{ key: 'ack_wait', have: 30e9, want: 20e9 }],
  })
  expect(states(await deploy(0, 'wider.ts'))).toEqual(['same'])

  const narrower = await project.troupe('deploy', 'narrower.ts')
  expect(narrower).toMatchObject({ code: 1 })
  expect(narrower.stdout).toContain('max_msgs: 200 → 50 (unsafe)')
  expect(states(await deploy(0, 'wider.ts'))).toEqual(['same'])
})
