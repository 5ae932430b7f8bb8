import { defineActor, type Middleware } from 'troupe'
import { expect, it } from 'vitest'

import { rejection, testBundle } from '../kit/system.ts'

const steps: string[] = []
const actor = defineActor('wrapped', {
  retry: false,
  messages: {
    go: (payload: { n: number }) => {
      steps.push(`handler ${payload.n}`)
      return payload.n
    },
    fails: (): never => {
      throw new Error('inside')
    },
  },
})

const around =
  (name: string): Middleware =>
  async (payload, ctx, next) => {
    steps.push(`${name} before ${ctx.message}`)
    const result = await next(payload)
    steps.push(`${name} after`)
    return result
  }

it('the first is the outermost', async () => {
  steps.length = 0
  await using t = await testBundle({ actors: [actor], middleware: [around('outer'), around('inner')] })
  expect(await t.troupe.ask(actor.go, { n: 1 })).toBe(1)
  expect(steps).toEqual(['outer before go', 'inner before go', 'handler 1', 'inner after', 'outer after'])
})

it('may change what comes in and what goes out', async () => {
  const twice: Middleware = async (payload, _ctx, next) =>
    `got ${String(await next({ n: (payload as { n: number }).n * 2 }))}`
  await using t = await testBundle({ actors: [actor], middleware: [twice] })
  expect(await t.troupe.ask(actor.go, { n: 4 })).toBe('got 8')
})

it('may leave the handler out', async () => {
  steps.length = 0
  await using t = await testBundle({ actors: [actor], middleware: [() => 'instead'] })
  expect(await t.troupe.ask(actor.go, { n: 1 })).toBe('instead')
  expect(steps).toEqual([])
})

it('sees what the handler throws, and what it throws itself fails the attempt', async () => {
  const seen: unknown[] = []
  const watching: Middleware = async (payload, _ctx, next) => {
    try {
      return await next(payload)
    } catch (error) {
      seen.push((error as Error).message)
      throw new Error('outside', { cause: error })
    }
  }
  await using t = await testBundle({ actors: [actor], middleware: [watching] })
  expect(await rejection(t.troupe.ask(actor.fails, undefined))).toMatchObject({
    code: 'DEAD',
    failure: { message: 'outside' },
  })
  expect(seen).toEqual(['inside'])
})

it('is around live calls too', async () => {
  steps.length = 0
  await using t = await testBundle({ actors: [actor], middleware: [around('only')] })
  expect(await t.troupe.call(actor.go, { n: 3 })).toBe(3)
  expect(steps).toEqual(['only before go', 'handler 3', 'only after'])
})
