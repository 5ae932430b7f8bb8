/** Planned times as text and as tokens of subjects. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { Subjects } from '#runtime/broker/subjects.js'
import { occurrenceId, readClaim } from '#runtime/schedules/occurrenceMessage.js'
import { formatPlanned, plannedAt, readPlanned } from '#runtime/time/planned.js'

const planned = fc
  .tuple(fc.integer({ min: 0, max: Date.parse('2199-12-31T23:59:59.999Z') }), fc.integer({ min: 0, max: 999 }))
  .map(([ms, micros]) => plannedAt(ms, micros))

describe('a planned time', () => {
  it.each([
    ['2027-03-28T01:00:00Z', '20270328T010000Z'],
    ['2027-03-28T01:00:00.250Z', '20270328T010000,250Z'],
    ['2027-03-28T01:00:00.250017Z', '20270328T010000,250017Z'],
    ['2027-03-28T01:00:00.000001Z', '20270328T010000,000001Z'],
  ])('%s is the token %s', (text, token) => {
    const subjects = new Subjects('troupe')
    const time = readPlanned(text) ?? NaN
    const subject = subjects.ledger('mailer', 'daily', time)
    expect(subject).toBe(`troupe.ledger.mailer.daily.${token}`)
    expect(subjects.parseLedger(subject)).toEqual({ actor: 'mailer', schedule: 'daily', planned: time })
    expect(formatPlanned(time)).toBe(text)
  })

  it('is read back as the very same number from text, subject and claim', () => {
    const subjects = new Subjects('troupe')
    fc.assert(
      fc.property(planned, (time) => {
        expect(readPlanned(formatPlanned(time))).toBe(time)
        expect(subjects.parseLedger(subjects.ledger('a', 'b', time))?.planned).toBe(time)
        expect(readClaim(occurrenceId('b', time))).toEqual({ schedule: 'b', planned: time })
      }),
    )
  })

  it.each(['', 'soon', '2027-03-28', '2027-03-28T01:00:00+01:00', '2027-13-28T01:00:00Z', '2027-03-28T01:00:00.1Z'])(
    'is not: %j',
    (text) => {
      expect(readPlanned(text)).toBeUndefined()
      expect(readClaim(`daily@${text}`)).toBeUndefined()
    },
  )
})
