import fc from 'fast-check'
import { expect, it } from 'vitest'

import { Heap } from '#actors/timer/heap.js'

const filled = (keys: readonly number[]): Heap<{ key: number }> => {
  const heap = new Heap<{ key: number }>((entry) => entry.key)
  for (const key of keys) heap.push({ key })
  return heap
}
const drained = (heap: Heap<{ key: number }>): number[] => {
  const keys: number[] = []
  for (let entry = heap.pop(); entry !== undefined; entry = heap.pop()) keys.push(entry.key)
  return keys
}
const sorted = (keys: readonly number[]): number[] => [...keys].sort((a, b) => a - b)

it('gives out what a sort would', () => {
  fc.assert(fc.property(fc.array(fc.integer()), (keys) => void expect(drained(filled(keys))).toEqual(sorted(keys))))
})

it('shows the least first, and takes nothing by showing it', () => {
  const rule = (keys: number[]): void => {
    const heap = filled(keys)
    expect(heap.peek()?.key).toBe(Math.min(...keys))
    expect(heap.size).toBe(keys.length)
  }
  fc.assert(fc.property(fc.array(fc.integer(), { minLength: 1 }), rule))
})

it('takes out all that match, and keeps the order of the rest', () => {
  const rule = (keys: number[], divisor: number): void => {
    const heap = filled(keys)
    const isOut = (key: number): boolean => key % divisor === 0
    const out = heap.remove((entry) => isOut(entry.key))
    expect(sorted(out.map((entry) => entry.key))).toEqual(sorted(keys.filter(isOut)))
    expect(drained(heap)).toEqual(sorted(keys.filter((key) => !isOut(key))))
  }
  fc.assert(fc.property(fc.array(fc.nat(1_000)), fc.integer({ min: 1, max: 7 }), rule))
})

it('stays right when pushes and pops alternate', () => {
  const rule = (steps: (number | undefined)[]): void => {
    const heap = new Heap<{ key: number }>((entry) => entry.key)
    let model: number[] = []
    for (const step of steps) {
      if (step !== undefined) {
        heap.push({ key: step })
        model = sorted([...model, step])
      } else {
        expect(heap.pop()?.key).toBe(model.shift())
      }
    }
    expect(heap.size).toBe(model.length)
  }
  fc.assert(fc.property(fc.array(fc.option(fc.integer(), { nil: undefined })), rule))
})
