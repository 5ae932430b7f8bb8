import { describe, expect, it } from 'vitest'

import { Cancels, matches, type CancelRequest } from '#runtime/broker/cancels.js'
import { HeaderBlock } from '#runtime/broker/headers.js'
import type { Message } from '#runtime/message.js'

function message(about: Partial<Message> = {}): Message {
  const headers = new HeaderBlock([['tenant', 'acme']])
  return { id: 'a', name: 'welcome', root: 'r', sentAt: 1_000, headers, ...about } as Message
}

describe('whether a cancel speaks of a message', () => {
  it.each([
    ['its id', { id: 'a' }, true],
    ['another id', { id: 'b' }, false],
    ['its name', { message: 'welcome' }, true],
    ['another name', { message: 'digest' }, false],
    ['its root', { root: 'r' }, true],
    ['another root', { root: 's' }, false],
    ['a header of it', { header: { name: 'tenant', value: 'acme' } }, true],
    ['that header in other letters', { header: { name: 'Tenant', value: 'acme' } }, true],
    ['another value of it', { header: { name: 'tenant', value: 'other' } }, false],
    ['its id and another name', { id: 'a', message: 'digest' }, false],
    ['all of it', { id: 'a', message: 'welcome', root: 'r', header: { name: 'tenant', value: 'acme' } }, true],
    ['nothing at all', {}, false],
    ['a reason alone', { reason: 'because' }, false],
  ] as [string, CancelRequest, boolean][])('%s', (_name, request, expected) => {
    expect(matches(request, message())).toBe(expected)
  })
})

describe('the cancels that are known', () => {
  const known = (...list: (CancelRequest & { at: number })[]): Cancels => {
    const cancels = new Cancels(10_000)
    for (const cancel of list) cancels.add({ reply: undefined, reason: 'cancelled', ...cancel })
    return cancels
  }

  it('find nothing where there are none', () => {
    expect(known().find(message())).toBeUndefined()
  })

  it('find by id and by filter', () => {
    expect(known({ id: 'a', at: 2_000 }).find(message())?.id).toBe('a')
    expect(known({ message: 'welcome', at: 2_000 }).find(message())?.message).toBe('welcome')
    expect(known({ id: 'b', at: 2_000 }, { message: 'digest', at: 2_000 }).find(message())).toBeUndefined()
  })

  it('leave out a message that was sent after them, even under the same id', () => {
    expect(known({ id: 'a', at: 999 }).find(message())).toBeUndefined()
    expect(known({ id: 'a', at: 1_000 }).find(message())).toBeDefined()
  })

  it('find the newer of two by the same id', () => {
    expect(known({ id: 'a', at: 500 }, { id: 'a', at: 2_000 }).find(message())?.at).toBe(2_000)
  })

  it('find a newer filter behind an older one that came before the message', () => {
    expect(known({ message: 'welcome', at: 500 }, { message: 'welcome', at: 2_000 }).find(message())?.at).toBe(2_000)
  })

  it('find a newer filter behind an older cancel of that id', () => {
    expect(known({ id: 'a', at: 500 }, { message: 'welcome', at: 2_000 }).find(message())?.at).toBe(2_000)
  })

  it('forget what the stream has forgotten', () => {
    const cancels = known({ id: 'a', at: 2_000 }, { message: 'welcome', at: 3_000 })
    cancels.prune(12_500)
    expect(cancels.find(message())?.at).toBe(3_000)
    cancels.prune(13_001)
    expect(cancels.find(message())).toBeUndefined()
  })
})
