/** What timers found about schedules, as lines of the log. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import type { LogFields, Logger } from '#runtime/log.js'
import { ScheduleNews } from '#runtime/schedules/news.js'

function lines(): { log: Logger; written: [string, LogFields | undefined][] } {
  const written: [string, LogFields | undefined][] = []
  const log = { warn: (message: string, fields?: LogFields) => void written.push([message, fields]) } as Logger
  return { log, written }
}

describe('news of schedules in the log', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('are one line for all that missed something in the same second', () => {
    const { log, written } = lines()
    const news = new ScheduleNews(log)
    for (let index = 0; index < 1_000; index++)
      news.write({ actor: 'mailer', schedule: `s${index}`, what: 'missed', detail: 'late', count: 3 })
    vi.advanceTimersByTime(1_000)
    expect(written).toEqual([
      [
        'schedules have missed occurrences',
        { actor: 'mailer', schedules: 1_000, count: 3_000, first: 's0', detail: 'late' },
      ],
    ])
  })

  it('name a lone one, and everything else at once', () => {
    const { log, written } = lines()
    const news = new ScheduleNews(log)
    news.write({ actor: 'mailer', schedule: 'a', what: 'missed', detail: 'late', count: 1 })
    news.write({ actor: 'mailer', schedule: 'b', what: 'broken', detail: 'no JSON' })
    expect(written.map(([, fields]) => fields?.['schedule'])).toEqual(['b'])
    vi.advanceTimersByTime(1_000)
    expect(written.map(([, fields]) => fields?.['schedule'])).toEqual(['b', 'a'])
  })
})
