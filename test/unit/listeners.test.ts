import { describe, expect, it } from 'vitest'

import { ProblemListeners } from '#runtime/broker/listeners.js'

const refusal = (operation: string, subject: string) => Object.assign(new Error('refused'), { operation, subject })

describe('a problem that NATS reports', () => {
  it('is told to everybody, with whether somebody waited for it', () => {
    const problems = new ProblemListeners()
    const heard: [string, boolean][] = []
    problems.add(({ message }, isClaimed) => heard.push([message, isClaimed]))
    problems.claim(({ message }) => message === 'mine')
    problems.tell(new Error('mine'))
    problems.tell(new Error('of nobody'))
    expect(heard).toEqual([
      ['mine', true],
      ['of nobody', false],
    ])
  })

  it('is shown to all who may have caused it, also when one has claimed it', () => {
    const problems = new ProblemListeners()
    const asked: string[] = []
    for (const name of ['a', 'b']) problems.claim(() => asked.push(name) > 0)
    problems.tell(new Error('refused'))
    expect(asked).toEqual(['a', 'b'])
  })

  it('that was expected is told to who expected it, and to nobody else', () => {
    const problems = new ProblemListeners()
    const heard: string[] = []
    problems.expectRefusal('advice', () => heard.push('expected'))
    problems.add(({ message }) => heard.push(message))
    problems.claim(() => true)
    problems.tell(refusal('subscription', 'advice'))
    expect(heard).toEqual(['expected'])
    problems.tell(refusal('publish', 'advice'))
    problems.tell(refusal('subscription', 'other'))
    expect(heard).toEqual(['expected', 'refused', 'refused'])
  })

  it('is told no more to who has left', () => {
    const problems = new ProblemListeners()
    const heard: boolean[] = []
    const unclaim = problems.claim(() => true)
    const unlisten = problems.add((_, isClaimed) => heard.push(isClaimed))
    unclaim()
    problems.tell(new Error('refused'))
    unlisten()
    problems.tell(new Error('refused'))
    expect(heard).toEqual([false])
  })
})
