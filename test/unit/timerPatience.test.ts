/** Which messages a timer gives up: those that are refused for long, and never for a mailbox that is away (P1). */
import { UnavailableError } from 'troupe'
import { describe, expect, it } from 'vitest'

import { Patience } from '#actors/timer/patience.js'
import { JetStreamError, type Refusal } from '#runtime/broker/api.js'

const MINUTE = 60_000
const error = (refusal: Refusal): JetStreamError => new JetStreamError(refusal, 0, 'no', 'a.b')

describe('a message that its mailbox does not take', () => {
  it('is given up after 30 tries at a mailbox that is full', () => {
    const patience = new Patience()
    expect(patience.isOver(error('full'), 29, MINUTE)).toBe(false)
    expect(patience.isOver(error('full'), 30, MINUTE)).toBe(true)
  })

  it.each([
    ['has no leader', error('away')],
    ['does not answer', new UnavailableError('OUTCOME_UNKNOWN', 'no answer came')],
  ])('is never given up where the mailbox %s', (_what, away) => {
    expect(new Patience().isOver(away, 10_000, MINUTE)).toBe(false)
  })

  it('is not given up for the tries that it had while the mailbox was away', () => {
    const patience = new Patience()
    patience.isOver(error('away'), 100, 0)
    expect(patience.isOver(error('full'), 101, MINUTE)).toBe(false)
    expect(patience.isOver(error('full'), 125, 25 * MINUTE)).toBe(true)
  })

  it('is not given up for the tries of a schedule’s tick while nothing could be read either', () => {
    const patience = new Patience()
    expect(patience.isWornOut(30, 0)).toBe(true)
    patience.wasAway(0)
    expect(patience.isWornOut(100, 24 * MINUTE)).toBe(false)
    expect(patience.isWornOut(100, 25 * MINUTE)).toBe(true)
  })

  it('is given up at once where it will never be taken', () => {
    expect(new Patience().isOver(error('refused'), 1, 0)).toBe(true)
  })
})
