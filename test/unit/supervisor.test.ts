/** Supervisors at work, with children that do as the test says and a clock that it moves. Race rules: runtime/supervision/supervisor.ts. */
import { manualClock, type ManualClock } from 'troupe/testing'
import { describe, expect, it } from 'vitest'

import { Ending, type Child, type Exit } from '#runtime/supervision/child.js'
import type { SupervisorPolicy } from '#runtime/supervision/decide.js'
import { rootCause } from '#runtime/supervision/failures.js'
import type { Report } from '#runtime/supervision/report.js'
import type { ChildSpec } from '#runtime/supervision/spec.js'
import { Supervisor } from '#runtime/supervision/supervisor.js'

import { gate, rejection, type Gate } from '../kit/system.ts'

const POLICY: SupervisorPolicy = {
  strategy: 'one_for_one',
  restarts: 3,
  withinMs: 60_000,
  autoShutdown: 'never',
  backoff: { baseMs: 1_000, factor: 2, maxMs: 30_000, jitter: 0, resetAfterMs: 30_000 },
}

/** Lives of children by name, and what each start and stop is to do. */
class Stage {
  readonly clock: ManualClock = manualClock()
  readonly log: string[] = []
  readonly reports: Report[] = []
  readonly #endings = new Map<string, Ending>()
  readonly #startErrors = new Map<string, Error[]>()
  readonly #gates = new Map<string, Gate>()

  /** Starts or stops of this child wait until the test opens the gate. */
  hold(what: 'start' | 'stop', id: string): Gate {
    const held = gate()
    this.#gates.set(`${what} ${id}`, held)
    return held
  }
  /** The next start of this child fails. */
  failStart(id: string, text = `${id} can't start`): void {
    this.#startErrors.set(id, [...(this.#startErrors.get(id) ?? []), new Error(text)])
  }
  end(id: string, exit: Exit): void {
    this.#endings.get(id)?.end(exit)
  }
  fail(id: string): void {
    this.end(id, { kind: 'failed', error: new Error(`${id} broke`) })
  }

  child(id: string, more: Partial<ChildSpec> = {}): ChildSpec {
    const defaults = {
      kind: 'worker',
      restart: 'permanent',
      significant: false,
      stopWithinMs: 5_000,
      overdueMs: 1_000,
    } as const
    return { id, ...defaults, make: () => this.#life(id), ...more }
  }

  supervisor(children: readonly ChildSpec[], policy: Partial<SupervisorPolicy> = {}, name = 'root'): Supervisor {
    const host = { clock: this.clock, report: (report: Report): void => void this.reports.push(report) }
    return new Supervisor(name, { ...POLICY, ...policy }, children, host)
  }

  /** Lets all happen that needs no time, then time passes. */
  async pass(ms: number): Promise<void> {
    await settle()
    await this.clock.advance(ms)
    await settle()
  }

  told(...kinds: Report['kind'][]): string[] {
    return this.reports.filter(({ kind }) => kinds.includes(kind)).map(({ kind, child }) => `${kind} ${child}`)
  }
  /** What was logged since the last look. */
  seen(): string {
    return this.log.splice(0).join(', ')
  }

  #life(id: string): Child {
    const ending = new Ending()
    this.#endings.set(id, ending)
    return {
      ended: ending.ended,
      start: async (signal) => {
        this.log.push(`start ${id}`)
        await Promise.race([this.#gates.get(`start ${id}`)?.passed, aborted(signal)])
        const error = this.#startErrors.get(id)?.shift()
        if (error !== undefined) throw error
      },
      stop: async (withinMs) => {
        this.log.push(`stop ${id} ${withinMs}`)
        await this.#gates.get(`stop ${id}`)?.passed
      },
      hurry: () => void this.log.push(`hurry ${id}`),
    }
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  throw signal.reason
}

/** Lets everything happen that needs no time to pass. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function started(stage: Stage, supervisor: Supervisor): Promise<void> {
  const start = supervisor.start()
  await settle()
  await start
  stage.seen()
}

describe('start and stop', () => {
  it('start in order, and stop in reverse, one after the other where children depend on each other', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b'), s.child('c')], { strategy: 'rest_for_one' })
    await root.start()
    expect(s.seen()).toBe('start a, start b, start c')
    const held = s.hold('stop', 'c')
    const stopped = root.stop(60_000)
    await settle()
    expect(s.seen()).toBe('stop c 5000')
    await s.pass(3_000)
    held.open()
    await stopped
    expect(s.seen()).toBe('stop b 5000, stop a 5000')
    expect(s.told('started', 'stopped')).toEqual([
      'started a',
      'started b',
      'started c',
      'stopped c',
      'stopped b',
      'stopped a',
    ])
  })

  it('tell all children of one_for_one to stop at once, the last first', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b')])
    await started(s, root)
    const held = s.hold('stop', 'b')
    const stopped = root.stop(60_000)
    await settle()
    expect(s.seen()).toBe('stop b 5000, stop a 5000')
    held.open()
    await stopped
  })

  it('give all children together no more than the whole has', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b')], { strategy: 'one_for_all' })
    await started(s, root)
    const held = s.hold('stop', 'b')
    const stopped = root.stop(4_000)
    await s.pass(3_000)
    held.open()
    await stopped
    expect(s.seen()).toBe('stop b 4000, stop a 1000')
  })

  it('stop what was started when a later one can not, and say of what it failed', async () => {
    const s = new Stage()
    const inner = s.child('inner', {
      kind: 'supervisor',
      make: () => s.supervisor([s.child('b'), s.child('c')], {}, 'inner'),
    })
    const root = s.supervisor([s.child('a'), inner, s.child('d')])
    s.failStart('c', 'no such file')
    const error = await rejection(root.start())
    expect(error).toMatchObject({ name: 'StartError', code: 'START_FAILED' })
    expect(rootCause(error).message).toBe('no such file')
    expect(s.seen()).toBe('start a, start b, start c, stop b 5000, stop a 5000')
    expect(s.told('start-failed')).toEqual(['start-failed c', 'start-failed inner'])
  })

  it('go on with the others when one does not stop in its time and some more (rule 7)', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b')], { strategy: 'rest_for_one' })
    await started(s, root)
    s.hold('stop', 'b')
    const stopped = root.stop(60_000)
    await s.pass(5_999)
    expect(s.seen()).toBe('stop b 5000')
    await s.pass(2)
    await stopped
    expect(s.seen()).toBe('stop a 5000')
    expect(s.told('stop-failed')).toEqual(['stop-failed b'])
  })

  it('take over a shorter time, also for what stops already, and hurry', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a')])
    await started(s, root)
    const held = s.hold('stop', 'a')
    const stopped = root.stop(60_000)
    await settle()
    void root.stop(100)
    root.hurry()
    expect(s.seen()).toBe('stop a 5000, stop a 100, hurry a')
    held.open()
    await stopped
  })
})

describe('a restart', () => {
  it('comes after the wait, with a new life, and the wait is doubled while it goes on', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b')])
    await started(s, root)
    s.fail('b')
    await s.pass(999)
    expect(s.seen()).toBe('stop b 5000')
    expect(root.tree()).toMatchObject([{ state: 'running' }, { id: 'b', state: 'waiting', dueInMs: 1 }])
    await s.pass(1)
    expect(s.seen()).toBe('start b')
    s.fail('b')
    await s.pass(1_999)
    expect(s.seen()).toBe('stop b 5000')
    await s.pass(1)
    expect(s.seen()).toBe('start b')
    expect(root.tree()[1]).toMatchObject({ state: 'running', restarts: 2, failure: { message: 'b broke' } })
    // Calm for long enough: the next wait is the first again.
    await s.pass(61_000)
    s.fail('b')
    await s.pass(1_000)
    expect(s.seen()).toBe('stop b 5000, start b')
    await root.stop(0)
  })

  it('of all stops the others in reverse, at once, and starts all in order after the wait', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b'), s.child('c')], { strategy: 'one_for_all' })
    await started(s, root)
    s.fail('b')
    await settle()
    expect(s.seen()).toBe('stop b 5000, stop c 5000, stop a 5000')
    await s.pass(1_000)
    expect(s.seen()).toBe('start a, start b, start c')
    await root.stop(0)
  })

  it('of a child that can not start is a start failure, told, counted and tried again with a longer wait each time', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a')])
    await started(s, root)
    s.failStart('a', 'bad configuration')
    s.failStart('a', 'bad configuration')
    s.fail('a')
    await s.pass(1_000 + 2_000 + 4_000 - 1)
    expect(s.seen()).toBe('stop a 5000, start a, start a')
    await s.pass(1)
    expect(s.seen()).toBe('start a')
    expect(s.reports.filter(({ kind }) => kind === 'start-failed')).toMatchObject([
      { child: 'a', tries: 2, error: { message: 'bad configuration' } },
      { child: 'a', tries: 3 },
    ])
    expect(root.tree()).toMatchObject([{ state: 'running' }])
    await root.stop(0)
  })

  it('of a group whose second child can not start stops the first again, and tries all once more', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b'), s.child('c')], { strategy: 'one_for_all' })
    await started(s, root)
    s.failStart('b')
    s.fail('c')
    await s.pass(1_000)
    expect(s.seen()).toBe('stop c 5000, stop b 5000, stop a 5000, start a, start b, stop a 5000')
    await s.pass(1_000)
    expect(s.seen()).toBe('start a, start b, start c')
    await root.stop(0)
  })

  it('does not bring back temporary children of the group, and forgets them', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b', { restart: 'temporary' })], { strategy: 'one_for_all' })
    await started(s, root)
    s.fail('a')
    await s.pass(1_000)
    expect(s.seen()).toBe('stop a 5000, stop b 5000, start a')
    expect(root.tree().map(({ id }) => id)).toEqual(['a'])
    await root.stop(0)
  })

  it('counts an end once, and of the life that ended (rule 2)', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a')])
    await started(s, root)
    s.fail('a')
    s.fail('a')
    s.end('a', { kind: 'normal' })
    await s.pass(1_000)
    expect(s.told('failed', 'ended')).toEqual(['failed a'])
    expect(root.tree()).toMatchObject([{ state: 'running', restarts: 1 }])
    await root.stop(0)
  })

  it('is not held up by what the failed life still runs, but by the life before that (rule 6)', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a', { stopWithinMs: 100_000 })], { restarts: 10 })
    await started(s, root)
    const held = s.hold('stop', 'a')
    s.fail('a')
    await s.pass(1_000)
    s.fail('a')
    await s.pass(2_000)
    expect(s.seen()).toBe('stop a 100000, start a, stop a 100000')
    held.open()
    await settle()
    expect(s.seen()).toBe('start a')
    await root.stop(0)
  })

  it('of a group begins when all of it has ended (rule 6)', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a', { stopWithinMs: 100_000 }), s.child('b')], { strategy: 'one_for_all' })
    await started(s, root)
    const held = s.hold('stop', 'a')
    s.fail('a')
    await s.pass(10_000)
    expect(s.seen()).toBe('stop a 100000, stop b 5000')
    held.open()
    await settle()
    expect(s.seen()).toBe('start a, start b')
    await root.stop(0)
  })
})

describe('a race of', () => {
  it('a second failure during the restart of all is dropped where the restart stopped that child (rule 3)', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b'), s.child('c')], { strategy: 'one_for_all' })
    await started(s, root)
    const held = s.hold('stop', 'c')
    s.fail('b')
    await settle()
    s.fail('a')
    s.fail('c')
    held.open()
    await s.pass(1_000)
    expect(s.told('failed')).toEqual(['failed b'])
    expect(root.tree().map(({ state, restarts }) => `${state} ${restarts}`)).toEqual(Array(3).fill('running 1'))
    await root.stop(0)
  })

  it('a failure of one that was started anew while others still start is one of its own (rule 3)', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b')], { strategy: 'one_for_all' })
    await started(s, root)
    s.fail('b')
    const held = s.hold('start', 'b')
    await s.pass(1_000)
    expect(s.seen()).toBe('stop b 5000, stop a 5000, start a, start b')
    s.fail('a')
    await settle()
    expect(s.seen()).toBe('')
    held.open()
    await settle()
    expect(s.seen()).toBe('stop a 5000, stop b 5000')
    await s.pass(1_000)
    expect(s.seen()).toBe('start a, start b')
    expect(s.told('failed')).toEqual(['failed b', 'failed a'])
    await root.stop(0)
  })

  it('an earlier failure with the wait of a later child makes one restart of it (rule 4)', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b'), s.child('c')], { strategy: 'rest_for_one' })
    await started(s, root)
    s.fail('b')
    await s.pass(900)
    s.fail('a')
    await s.pass(999)
    expect(s.seen()).toBe('stop b 5000, stop c 5000, stop a 5000')
    await s.pass(1)
    expect(s.seen()).toBe('start a, start b, start c')
    await s.pass(10_000)
    expect(s.seen()).toBe('')
    await root.stop(0)
  })

  it('a stop with a wait starts nothing (rule 5)', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b')])
    await started(s, root)
    s.fail('a')
    await settle()
    await root.stop(1_000)
    await s.pass(60_000)
    expect(s.seen()).toBe('stop a 5000, stop b 1000')
    expect(s.clock.waiting).toBe(0)
  })

  it('a stop with a start aborts it, starts nothing more, and stops what had started (rule 5)', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b'), s.child('c')])
    s.hold('start', 'b')
    const start = rejection(root.start())
    await settle()
    await root.stop(1_000)
    expect((await start).name).toBe('StartError')
    expect(s.seen()).toBe('start a, start b, stop a 1000')
  })

  it('a failure with a stop changes nothing (rule 5)', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b')], { strategy: 'one_for_all' })
    await started(s, root)
    const held = s.hold('stop', 'b')
    const stopped = root.stop(60_000)
    await settle()
    s.fail('a')
    await settle()
    held.open()
    await stopped
    await s.pass(60_000)
    expect(s.seen()).toBe('stop b 5000, stop a 5000')
    expect(s.told('failed', 'restarting')).toEqual([])
  })
})

describe('giving up', () => {
  it('stops all in reverse and ends as shutdown, with the reason', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b'), s.child('c')], { restarts: 1, strategy: 'rest_for_one' })
    await started(s, root)
    s.fail('b')
    await s.pass(1_000)
    s.seen()
    s.fail('b')
    const exit = await root.ended
    expect(s.seen()).toBe('stop b 5000, stop c 5000, stop a 5000')
    expect(exit).toMatchObject({ kind: 'shutdown', error: { code: 'GAVE_UP', cause: { message: 'b broke' } } })
    expect(exit.kind === 'shutdown' && exit.error?.message).toBe(
      'expected at most 1 restarts below root within 1m, but there were more: the last was b: b broke',
    )
    expect(s.told('gave-up')).toEqual(['gave-up b'])
  })

  it('is a failure for the supervisor above, which restarts it whole, and gives up in its turn', async () => {
    const s = new Stage()
    const inner = s.child('inner', {
      kind: 'supervisor',
      stopWithinMs: Infinity,
      make: () => s.supervisor([s.child('x'), s.child('y')], { restarts: 0 }, 'inner'),
    })
    const root = s.supervisor([inner], { restarts: 1 })
    await started(s, root)
    s.fail('y')
    await s.pass(1_000)
    expect(s.seen()).toBe('stop y 5000, stop x 5000, start x, start y')
    s.fail('x')
    const exit = await root.ended
    expect(exit).toMatchObject({ error: { cause: { code: 'GAVE_UP', cause: { message: 'x broke' } } } })
    expect(s.told('gave-up')).toEqual(['gave-up y', 'gave-up x', 'gave-up inner'])
  })

  it('is no failure for a transient supervisor: as in OTP it ends with shutdown, and is not restarted', async () => {
    const s = new Stage()
    const make = (): Supervisor => s.supervisor([s.child('x')], { restarts: 0 }, 'inner')
    const root = s.supervisor([s.child('inner', { kind: 'supervisor', restart: 'transient', make })])
    await started(s, root)
    s.fail('x')
    await s.pass(60_000)
    expect(root.tree()).toMatchObject([{ id: 'inner', state: 'stopped' }])
    await root.stop(0)
  })
})

describe('automatic shutdown', () => {
  it('ends the supervisor in order when a significant child has ended by itself, and not when it was stopped', async () => {
    const s = new Stage()
    const children = [s.child('a'), s.child('b', { restart: 'transient', significant: true })]
    const root = s.supervisor(children, { autoShutdown: 'any_significant' })
    await started(s, root)
    await root.stopChild('b')
    await root.startChild('b')
    expect(root.stateOf('b')).toBe('running')
    s.seen()
    s.end('b', { kind: 'normal' })
    expect(await root.ended).toEqual({ kind: 'shutdown' })
    expect(s.seen()).toBe('stop b 5000, stop a 5000')
    expect(s.told('shut-down')).toEqual(['shut-down b'])
  })
})

describe('by hand', () => {
  it('a child is stopped, stays so, and is started; twice does no harm', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b')])
    await started(s, root)
    await root.stopChild('a')
    await root.stopChild('a')
    await s.pass(60_000)
    expect(s.seen()).toBe('stop a 5000')
    await root.startChild('a')
    await root.startChild('a')
    expect(s.seen()).toBe('start a')
    await root.stop(0)
  })

  it('a child that waits for its restart is started at once, or not at all', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b')])
    await started(s, root)
    s.fail('a')
    s.fail('b')
    await settle()
    s.seen()
    await root.restart('a')
    await root.stopChild('b')
    await s.pass(60_000)
    expect(s.seen()).toBe('start a')
    await root.stop(0)
  })

  it('a restart whose start fails is tried again; a start that fails is not, and says why', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('a'), s.child('b')])
    await started(s, root)
    s.failStart('a')
    await root.restart('a')
    expect(root.stateOf('a')).toBe('waiting')
    await s.pass(1_000)
    expect(root.stateOf('a')).toBe('running')
    await root.stopChild('b')
    s.failStart('b')
    expect((await rejection(root.startChild('b'))).message).toBe("b can't start")
    await s.pass(60_000)
    expect(root.stateOf('b')).toBe('stopped')
    await root.stop(0)
  })

  it('a name that is not there is a typed error with the nearest', async () => {
    const s = new Stage()
    const root = s.supervisor([s.child('mailer'), s.child('render')])
    await started(s, root)
    expect(await rejection(root.restart('mialer'))).toMatchObject({ code: 'NO_CHILD' })
    expect((await rejection(root.restart('mialer'))).message).toContain('did you mean "mailer"?')
    await root.stop(0)
  })
})
