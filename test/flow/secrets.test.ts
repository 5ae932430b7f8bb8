/** Fields that are named like secrets are hidden wherever a message is shown: events, logs, listings of dead letters and mailboxes. */
import { defineActor, type Logger } from 'troupe'
import { describe, expect, it } from 'vitest'

import { createLogger } from '#runtime/log.js'
import { Secrets } from '#runtime/secrets.js'

import { makeProject } from '../kit/cli.ts'
import { eventually, testBundle } from '../kit/system.ts'

const SECRET = 'hunter2'

const actor = defineActor('till', {
  retry: { attempts: 1 },
  messages: {
    pay: (payload: { card: string }, ctx) => {
      ctx.progress({ step: 1, auth: { password: SECRET, Card: payload.card } })
      ctx.log.info('paying', { card: payload.card, step: 1 })
      throw new Error(`could not reach nats://till:${SECRET}@bank`)
    },
  },
})

const payload = { card: SECRET, to: 'bank', login: { password: SECRET } }

describe('secrets', () => {
  it('are hidden in events and in logs, and the lines of a handler carry its message', async () => {
    const lines: string[] = []
    const logger: Logger = createLogger({
      format: 'json',
      secrets: new Secrets(['card']),
      stream: { write: (line) => lines.push(line) },
    })
    await using t = await testBundle({ actors: [actor], secrets: ['card'], logger })
    const heard: string[] = []
    t.troupe.connection.subscribe(`${t.namespace}.event.till.>`, {
      callback: (_error, msg) => void heard.push(msg.string()),
    })
    await t.troupe.connection.flush()
    await t.troupe.send(actor.pay, payload, { id: 'p1', headers: { 'X-Api-Key': SECRET } })
    await eventually('it is told', () => heard.length === 2)
    const [progress, dead] = heard.map((text) => JSON.parse(text) as Record<string, unknown>)
    expect(progress?.['value']).toEqual({ step: 1, auth: { password: '[hidden]', Card: '[hidden]' } })
    expect(dead?.['failure']).toMatchObject({ message: 'could not reach nats://[hidden]@bank' })
    expect(heard.join('')).not.toContain(SECRET)

    const paying = lines.map((line) => JSON.parse(line) as Record<string, unknown>).find(({ msg }) => msg === 'paying')
    expect(paying).toMatchObject({ actor: 'till', message: 'pay', id: 'p1', attempt: 1, card: '[hidden]', step: 1 })
    expect(lines.some((line) => line.includes('"dead"'))).toBe(true)
    expect(lines.join('')).not.toContain(SECRET)
    // What listens in the process itself is the application's own: it gets what is there.
    expect(t.events.of('progress')[0]?.value).toMatchObject({ auth: { password: SECRET } })
  })

  it('are hidden in listings, until somebody asks to see them', { timeout: 60_000 }, async () => {
    await using t = await testBundle({ actors: [actor] })
    await t.troupe.send(actor.pay, payload, { id: 'p1', headers: { 'X-Api-Key': SECRET } })
    await t.troupe.connection.request(`${t.namespace}.do.till.pay`, `not JSON ${SECRET}`)
    await t.events.wait('dead', { count: 2 })
    await t.troupe.pause('till')
    await t.troupe.send(actor.pay, payload, { id: 'p2' })
    const env = { TROUPE_NATS_SERVERS: t.server.url, TROUPE_NAMESPACE: t.namespace, TROUPE_SECRETS: 'card' }
    await using project = await makeProject({ env })
    const encoded = Buffer.from(`not JSON ${SECRET}`).toString('base64')
    for (const words of [
      'dead show p1',
      'dead ls --json',
      'dead purge --all --json',
      'peek till',
      'purge till --all',
    ]) {
      const { stdout, stderr } = await project.troupe(...words.split(' '))
      expect(stdout + stderr, words).not.toContain(SECRET)
      expect(stdout, words).not.toContain(encoded)
      if (words !== 'dead show p1') continue
      expect(stdout).toContain('"card": "[hidden]"')
      expect(stdout).toContain('X-Api-Key: [hidden]')
      expect(stdout).toContain('"to": "bank"')
    }
    expect((await project.troupe('dead', 'show', 'p1', '--reveal')).stdout).toContain(`"card": "${SECRET}"`)
    expect((await project.troupe('dead', 'ls', '--json', '--reveal')).stdout).toContain(encoded)
    expect((await project.troupe('peek', 'till', '--reveal', '--json')).stdout).toContain(SECRET)
    // The program's own API gives what is there.
    expect((await t.troupe.dead.show('p1')).payload).toEqual(payload)
  })
})
