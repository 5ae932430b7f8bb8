import { defineActor, preview, ruleInWords, type Condition, type ScheduleInput, type ScheduleRule } from 'troupe'
import { describe, expect, expectTypeOf, it } from 'vitest'

const mailer = defineActor('mailer', { messages: { digest: (_payload: { list: string }) => 1 } })

describe('the types of rules', () => {
  it('take one of each kind, alone and with conditions', () => {
    const rules: ScheduleRule[] = [
      { cron: '@daily' },
      { every: { minutes: 15 }, anchor: new Date(0) },
      { calendar: { dayOfMonth: -1, at: '23:30' }, timeZone: 'Europe/Paris', dst: 'both' },
      { calendar: { every: { weeks: 2 }, weekday: ['mon'], anchor: '2027-01-04' } },
      { rrule: 'FREQ=DAILY' },
      { times: ['2027-03-28T09:00', 0, new Date(0)] },
      { sun: { event: 'sunset', latitude: 48.85, longitude: 2.35, offset: '-30m' } },
      { after: { actor: 'orders', message: 'ship', status: 'any' } },
      { cron: '@daily', after: { actor: 'orders', message: 'ship' } },
      { every: '1h', only: { weekdays: 'mon-fri', between: ['09:00', '17:00'] }, except: ['12-25'] },
      { every: '1h', only: [{ or: [{ dates: { from: '2027-01-01', to: '2027-02-01' } }] }, { not: '12-25' }] },
    ]
    for (const rule of rules) expect(ruleInWords(rule)).not.toBe('')
    expectTypeOf(preview).returns.toEqualTypeOf<Date[]>()
  })

  it('refuse what is none', () => {
    // @ts-expect-error -- neither times nor a cause
    const none: ScheduleRule = { timeZone: 'UTC' }
    // @ts-expect-error -- no such key
    const slip: ScheduleRule = { crom: '@daily' }
    // @ts-expect-error -- no such event
    const moon: ScheduleRule = { sun: { event: 'moonrise', latitude: 0, longitude: 0 } }
    // @ts-expect-error -- no such way
    const thrice: ScheduleRule = { cron: '@daily', dst: 'thrice' }
    // @ts-expect-error -- no such condition
    const condition: Condition = { during: '12-25' }
    expect([none, slip, moon, thrice, condition]).toHaveLength(5)
  })

  it('are part of what put takes', () => {
    expectTypeOf<{ cron: string; send: ReturnType<typeof mailer.digest.with> }>().toExtend<ScheduleInput>()
  })
})
