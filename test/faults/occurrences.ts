/** What the ledger of schedules has to say after a fault: each occurrence is there, and once. */
import type { ScheduleInput } from 'troupe'
import { expect } from 'vitest'

import type { Entry as LedgerEntry } from '#runtime/schedules/ledger.js'

import { NAMESPACE, until, type Bed } from './bed.ts'

const LEDGER = `${NAMESPACE}-ledger`

/** Different policies, so that all of them are under fire. */
export const POLICIES: readonly Pick<ScheduleInput, 'overlap' | 'catchUp' | 'jitter'>[] = [
  { overlap: 'allow', catchUp: { policy: 'all', pace: '50ms' } },
  { overlap: 'skip', catchUp: 'latest', jitter: '300ms' },
  { overlap: 'bufferOne', catchUp: 'skip' },
  { overlap: 'bufferAll', catchUp: { policy: 'all', pace: '50ms' } },
]

/** What the ledger says, by occurrence, oldest entry first. */
export async function readLedger({ jsm }: Bed): Promise<Map<string, LedgerEntry[]>> {
  const accounts = new Map<string, LedgerEntry[]>()
  const { state } = await jsm.streams.info(LEDGER)
  for (let seq = state.first_seq; seq <= state.last_seq;) {
    // Many at once: there are hundreds of thousands in the long form.
    const batch = await Promise.all(
      Array.from({ length: Math.min(500, state.last_seq - seq + 1) }, (_, index) =>
        jsm.direct.getMessage(LEDGER, { seq: seq + index }),
      ),
    )
    for (const message of batch) {
      if (message === null) continue
      const [, , , schedule, token] = message.subject.split('.')
      const key = `${schedule} ${token}`
      accounts.set(key, [...(accounts.get(key) ?? []), message.json<LedgerEntry>()])
    }
    seq += batch.length
  }
  return accounts
}

export function count(list: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const one of list) counts.set(one, (counts.get(one) ?? 0) + 1)
  return counts
}

/** Every second of every schedule from `start` on has its account, and there is no other: sent and ended, or skipped, or missed, once each. */
export function expectAccounted(
  ledger: ReadonlyMap<string, readonly LedgerEntry[]>,
  ids: readonly string[],
  start: number,
  seconds: number,
): void {
  const expected = ids.flatMap((id) =>
    Array.from({ length: seconds }, (_, index) => `${id} ${tokenOf(start + index * 1_000)}`),
  )
  expect([...ledger.keys()].toSorted()).toEqual(expected.toSorted())
  for (const [key, account] of ledger) {
    const by = count(account.map(({ step }) => step))
    expect([key, by.get('sent') ?? 0]).toEqual([key, by.get('ended') ?? 0])
    expect((by.get('sent') ?? 0) + (by.get('skipped') ?? 0) + (by.get('missed') ?? 0)).toBe(1)
  }
}

/** What the ledger calls done is what handlers did. `done`: the ids of their runs. */
export function expectHandled(ledger: ReadonlyMap<string, readonly LedgerEntry[]>, done: readonly string[]): void {
  const sent = [...ledger.values()].flatMap((account) => {
    const last = account.at(-1)
    return last?.outcome?.status === 'done' && last.id !== undefined ? [last.id] : []
  })
  expect([...new Set(done)].toSorted()).toEqual(sent.toSorted())
}

/** Resolves when no schedule has anything left to do. */
export function schedulesOver({ troupe }: Bed): Promise<void> {
  return until('the end of all occurrences', async () => {
    const all = await troupe.schedules.list()
    return all.every(({ waiting, spans, next }) => waiting.length + spans.length === 0 && next === undefined)
  })
}

const tokenOf = (ms: number): string => new Date(ms).toISOString().replaceAll(/[-:]|\.000/g, '')
