/** Reading the accounts of a schedule back, newest first. The stream knows its subjects, and their last token sorts by time. */
import type { StreamInfo } from '@nats-io/jetstream'

import { JetStreamError } from '../broker/api.ts'
import type { Broker } from '../broker/broker.ts'
import { parseInstant } from '../time/duration.ts'
import { seeAccount, type Account } from './ledger.ts'
import { readBy, readWhole } from './refuse.ts'
import type { Moment } from './rule.ts'

export interface HistoryOptions {
  /** At most so many, the newest. 1 to 10,000, default 20. */
  readonly limit?: number
  /** Planned from this moment on … */
  readonly from?: Moment
  /** … and before this one. */
  readonly until?: Moment
}

/** Reads that are under way at once. */
const WINDOW = 100

/** Throws `ConfigError` `INVALID_SCHEDULE` for options that make no sense. */
export async function listAccounts(
  broker: Broker,
  actor: string,
  schedule: string,
  options: HistoryOptions,
): Promise<{ planned: number; account: Account }[]> {
  const limit = readWhole(options.limit ?? 20, 'history.limit', 1, 10_000)
  const from = options.from === undefined ? -Infinity : readBy(parseInstant, options.from, 'history.from')
  const until = options.until === undefined ? Infinity : readBy(parseInstant, options.until, 'history.until')
  const isAll = from === -Infinity && until === Infinity
  const times = await plannedTimes(broker, actor, schedule, isAll ? limit : Infinity)
  const wanted = times.filter((planned) => planned >= from && planned < until).slice(0, limit)
  const found: { planned: number; account: Account }[] = []
  for (let start = 0; start < wanted.length; start += WINDOW) {
    const some = wanted.slice(start, start + WINDOW)
    const accounts = await Promise.all(some.map((planned) => seeAccount(broker, { actor, schedule, planned })))
    for (const [index, planned] of some.entries()) {
      const account = accounts[index]
      if (account !== undefined) found.push({ planned, account })
    }
  }
  return found
}

/** Planned times that have an account, newest first: all, or at least the newest so many. */
async function plannedTimes(broker: Broker, actor: string, schedule: string, enough: number): Promise<number[]> {
  const firstPage = await page(broker, actor, schedule, 0)
  const times = [...firstPage.times]
  // A page holds so many; a schedule that runs each second has more within two days.
  for (let end = firstPage.total; end > times.length && times.length < enough;) {
    const offset = Math.max(firstPage.times.length, end - firstPage.times.length)
    const next = await page(broker, actor, schedule, offset)
    if (enough === Infinity) times.push(...next.times)
    else return next.times.toSorted((a, b) => b - a)
    end = offset
    if (offset === firstPage.times.length) break
  }
  return times.toSorted((a, b) => b - a)
}

async function page(
  { api, subjects }: Broker,
  actor: string,
  schedule: string,
  offset: number,
): Promise<{ times: number[]; total: number }> {
  const filter = { subjects_filter: subjects.ledgerOf(actor, schedule), offset }
  const info: (StreamInfo & { total?: number }) | undefined = await api
    .streamInfo(subjects.ledgerStream, filter)
    .catch((error: unknown) => {
      if (error instanceof JetStreamError && error.refusal === 'gone') return undefined
      throw error
    })
  const times = Object.keys(info?.state.subjects ?? {}).flatMap(
    (subject) => subjects.parseLedger(subject)?.planned ?? [],
  )
  return { times, total: info?.total ?? times.length }
}
