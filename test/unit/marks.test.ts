/** Marks of runs that were begun, where NATS is slow. */
import { describe, expect, it } from 'vitest'

import { toJetStreamError } from '#runtime/broker/api.js'
import { HeaderBlock } from '#runtime/broker/headers.js'
import { Subjects } from '#runtime/broker/subjects.js'
import { lookUp, Suspects } from '#runtime/flow/redelivery.js'
import type { Run } from '#runtime/flow/run.js'
import { NO_CRASHES } from '#runtime/isolation/crash.js'

const NOTHING_THERE = toJetStreamError({ code: 400, err_code: 10_071, description: 'wrong last sequence: 0' }, 'any')

type Host = Parameters<typeof lookUp>[0]

/** A redelivered message. `onPublish` is called before what is published is stored; returns what was stored, in order. */
function redelivered(onPublish: (run: { over: boolean }) => void) {
  const run = {
    delivery: { stream: 's', sequence: 7, origin: 's:7', count: 2 },
    message: { actor: 'mailer', id: 'm', keepMs: undefined },
    ctx: { isSuspect: false },
    crashes: NO_CRASHES,
    marked: false,
    over: false,
  }
  const stored: string[] = []
  const host = {
    spec: { crashes: 3 },
    subjects: new Subjects('troupe'),
    suspects: new Suspects(),
    api: {
      direct: async () => ({ data: new Uint8Array(), headers: { keys: () => [] } }),
      readMessage: async (_stream: string, { seq }: { seq?: number }) =>
        seq === undefined ? undefined : { headers: HeaderBlock.none },
    },
    publisher: {
      publish: async ({ payload, headers }: { payload: Uint8Array | undefined; headers: Uint8Array }) => {
        // How it is asked what stands on a subject (ownSubject.ts): nothing.
        if (Buffer.from(headers).includes('Nats-Expected-')) throw NOTHING_THERE
        onPublish(run)
        stored.push(payload === undefined ? 'erased' : Buffer.from(payload).toString())
        return { sequence: stored.length }
      },
    },
  }
  return { run, stored, lookedUp: lookUp(host as unknown as Host, run as unknown as Run) }
}

describe('the mark of a run that was begun', () => {
  it('is stored before it runs', async () => {
    const { run, stored, lookedUp } = redelivered(() => {})
    expect(await lookedUp).toBeUndefined()
    expect(run.marked).toBe(true)
    expect(stored).toEqual(['{"count":1,"seen":0,"reports":[]}'])
  })

  it('goes where the run was given up before its mark was stored: it killed nobody', async () => {
    const { run, stored, lookedUp } = redelivered((one) => (one.over = true))
    await lookedUp
    expect(run.marked).toBe(false)
    expect(stored.at(-1)).toBe('erased')
  })

  it('is taken back where nobody says whether it was stored', async () => {
    const { run, lookedUp } = redelivered(() => {
      throw new Error('no answer')
    })
    await expect(lookedUp).rejects.toThrow('no answer')
    expect(run.marked).toBe(true)
  })
})
