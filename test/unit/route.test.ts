import { describe, expect, it } from 'vitest'

import { Route } from '#runtime/broker/route.js'

const pool = (...listens: string[]): never => listens.map((listen) => ({ listen })) as never
/** The addresses in the order in which they are dialled; undefined: as the library likes. */
const dialled = (route: Route, servers: never, times: number): (string | undefined)[] =>
  Array.from({ length: times }, () => {
    const next = route.next(servers, null)
    return next === null || !('listen' in next) ? undefined : next.listen
  })

describe('the servers that a connection knows', () => {
  it('are those of its settings, also one that could not be dialled', () => {
    expect(new Route(['nats://a:1', 'tls://B', 'nats://[::1]:7']).addresses(pool('a:1'))).toEqual([
      'a:1',
      'b:4222',
      '[::1]:7',
    ])
  })

  it('and those that the cluster told of; what it told before goes', () => {
    const route = new Route(['nats://a:1'])
    route.told(['a:1', 'b:1', 'c:1'])
    expect(route.addresses(pool('a:1'))).toEqual(['a:1', 'b:1', 'c:1'])
    route.told(['a:1', 'd:1'])
    expect(route.addresses(pool('a:1', 'd:1'))).toEqual(['a:1', 'd:1'])
  })

  it('but not fewer because one that is cut off knows only itself', () => {
    const route = new Route(['nats://a:1'])
    route.told(['a:1', 'b:1', 'c:1'])
    route.told(['a:1'])
    route.told([])
    expect(route.addresses(pool('a:1'))).toEqual(['a:1', 'b:1', 'c:1'])
  })
})

describe('the server that is dialled next', () => {
  const three = pool('a:1', 'b:1', 'c:1')

  it('is for the library to choose', () => {
    expect(dialled(new Route(['nats://a:1']), three, 2)).toEqual([undefined, undefined])
  })

  it('is each other one before the one that is left, once', () => {
    const route = new Route(['nats://a:1'])
    route.leave({ id: 'A', address: 'a:1' })
    expect(dialled(route, three, 3)).toEqual(['b:1', 'c:1', undefined])
  })

  it('is not the one that is left under another name', () => {
    const route = new Route(['nats://localhost:1'])
    const four = pool('localhost:1', 'a:1', 'b:1')
    route.leave({ id: 'A', address: 'localhost:1' })
    expect(dialled(route, four, 1)).toEqual(['a:1'])
    expect(route.isBack('A', four)).toBe(true)
    route.leave({ id: 'A', address: 'a:1' })
    expect(dialled(route, four, 1)).toEqual(['b:1'])
    expect(route.isBack('B', four)).toBe(false)
  })

  it('may be that one where every other was tried in vain', () => {
    const route = new Route(['nats://a:1'])
    route.leave({ id: 'A', address: 'a:1' })
    expect(dialled(route, three, 1)).toEqual(['b:1'])
    expect(route.isBack('A', three)).toBe(true)
    expect(dialled(route, three, 2)).toEqual(['c:1', undefined])
    expect(route.isBack('A', three)).toBe(false)
  })

  it('may be that one where there is no other', () => {
    const route = new Route(['nats://a:1'])
    route.leave({ id: 'A', address: 'a:1' })
    expect(route.isBack('A', pool('a:1'))).toBe(false)
    expect(dialled(route, pool('a:1'), 1)).toEqual([undefined])
  })

  it('is for the library to choose again after an arrival', () => {
    const route = new Route(['nats://a:1'])
    route.leave({ id: 'A', address: 'a:1' })
    route.arrived()
    expect(dialled(route, three, 1)).toEqual([undefined])
  })
})
