import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { Secrets, builtInSecrets, hideLogin } from '#runtime/secrets.js'

const own = new Secrets(['card', 'Social Number'])

describe('names of secrets', () => {
  it.each(['password', 'DB_PASSWORD', 'X-Access-Token', 'authorization', 'api-key', 'clientSecret', 'Set-Cookie'])(
    '%s is one',
    (name) => expect(builtInSecrets.isSecret(name)).toBe(true),
  )

  it.each(['to', 'name', 'id', 'card', 'author', 'key', ''])('%j is none', (name) =>
    expect(builtInSecrets.isSecret(name)).toBe(false),
  )

  it('are also those that an application adds, however they are written', () => {
    expect(['card', 'CardNumber', 'social_number', 'token'].map((name) => own.isSecret(name))).toEqual([
      true,
      true,
      true,
      true,
    ])
    expect(new Secrets(['', ' - ']).isSecret('anything')).toBe(false)
  })

  it('are judged rightly however many there are', () => {
    for (let n = 0; n < 5_000; n++) expect(own.isSecret(`field${n}`)).toBe(false)
    expect(own.isSecret('token')).toBe(true)
  })
})

describe('hiding', () => {
  const payload = {
    to: 'ada',
    card: { number: '4111', cvc: 1 },
    login: [{ password: null, at: new Date(0) }],
    map: new Map([['token', 'x']]),
    set: new Set(['nats://u:hunter2@h']),
    bytes: new Uint8Array(2),
    big: 1n,
  }

  it('leaves everything else what it is', () => {
    expect(own.hide(payload)).toEqual({
      to: 'ada',
      card: '[hidden]',
      login: [{ password: '[hidden]', at: new Date(0) }],
      map: new Map([['token', '[hidden]']]),
      set: new Set(['nats://[hidden]@h']),
      bytes: new Uint8Array(2),
      big: 1n,
    })
    expect(payload.card.number).toBe('4111')
  })

  it('as JSON does the same', () => {
    const json = own.toJson({ a: { card: 1, list: ['u', { Token: { x: 1 } }] }, at: new Date(0), none: undefined })
    expect(JSON.parse(json ?? '')).toEqual({
      a: { card: '[hidden]', list: ['u', { Token: '[hidden]' }] },
      at: '1970-01-01T00:00:00.000Z',
    })
  })

  it('ends with cycles and with names that mean something to JavaScript', () => {
    const cycle: Record<string, unknown> = { card: 'x' }
    cycle['self'] = cycle
    expect(own.hide(cycle)).toEqual({ card: '[hidden]', self: '[deep]' })
    const strange = JSON.parse('{"__proto__":{"token":"x"},"constructor":1}') as object
    expect(JSON.stringify(own.hide(strange))).toBe('{"__proto__":{"token":"[hidden]"},"constructor":1}')
  })

  it('never shows what stands under such a name, at whatever depth (property)', () => {
    const leaf = fc.constant('hunter2')
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        fc.record({ password: leaf, other: fc.integer() }),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(fc.string(), tie('tree'), { maxKeys: 3 }),
      ),
    }))
    fc.assert(
      fc.property(tree, (value) => {
        expect(JSON.stringify(own.hide(value))).not.toContain('hunter2')
        expect(own.toJson(value)).not.toContain('hunter2')
      }),
    )
  })

  it('takes logins out of addresses', () => {
    expect(hideLogin('could not reach nats://user:pa@ss and https://h/x@y')).not.toContain('user:pa')
    // A password with an @ in it: what comes after it is hidden too.
    expect(hideLogin('nats://user:p@ss@host:4222, tls://it:s@cr@t@other')).toBe(
      'nats://[hidden]@host:4222, tls://[hidden]@other',
    )
    expect(hideLogin('ada@example.com')).toBe('ada@example.com')
  })
})
