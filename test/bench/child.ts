/** Starts a worker or a sender in its own process and calls it. A child ends when told, or when its parent is gone. */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import type { Environment, Side } from './measure.ts'
import type { PoolRole, SenderRole, WorkerRole } from './roles.ts'

/** The verbs of a role, called across processes. */
export interface Remote<T> extends AsyncDisposable {
  readonly call: <K extends keyof T & string>(verb: K, ...args: Arguments<T[K]>) => Promise<Result<T[K]>>
}

type Arguments<F> = F extends (...args: infer A) => unknown ? A : never
type Result<F> = F extends (...args: never[]) => Promise<infer R> ? R : never

export interface Call {
  readonly id: number
  readonly verb: string
  readonly args: readonly unknown[]
}

export interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

/** `env`: on top of our own. */
export function startWorker(side: Side, env: Environment = {}): Promise<Remote<WorkerRole>> {
  return startChild<WorkerRole>(side, 'worker', env)
}

export function startSender(side: Side): Promise<Remote<SenderRole>> {
  return startChild<SenderRole>(side, 'sender', {})
}

export function startPool(): Promise<Remote<PoolRole>> {
  return startChild<PoolRole>('troupe', 'pool', {})
}

type Waiting = Map<number, { resolve(value: unknown): void; reject(error: Error): void }>

async function startChild<T>(side: Side, role: 'worker' | 'sender' | 'pool', env: Environment): Promise<Remote<T>> {
  const child = fork(new URL('./role.ts', import.meta.url), [side, role], {
    execArgv: [...process.execArgv, '--expose-gc'],
    serialization: 'advanced',
    env: { ...process.env, ...env },
  })
  const waiting: Waiting = new Map()
  child.on('message', (answer: Answer) => settle(waiting, answer))
  child.once('exit', (code) => failAll(waiting, new Error(`the ${side} ${role} process ended with code ${code}`)))
  await Promise.race([once(child, 'message'), ended(child)])
  let calls = 0
  const call = (verb: string, ...args: unknown[]) => {
    const id = ++calls
    return new Promise<unknown>((resolve, reject) => {
      waiting.set(id, { resolve, reject })
      child.send({ id, verb, args } satisfies Call)
    })
  }
  return { call: call as Remote<T>['call'], [Symbol.asyncDispose]: () => end(child, call) }
}

async function ended(child: ChildProcess): Promise<never> {
  const [code] = await once(child, 'exit')
  throw new Error(`expected a child process to become ready, it ended with code ${code}`)
}

function settle(waiting: Waiting, answer: Answer): void {
  const waiter = waiting.get(answer.id)
  waiting.delete(answer.id)
  if (answer.error === undefined) waiter?.resolve(answer.value)
  else waiter?.reject(new Error(answer.error))
}

function failAll(waiting: Waiting, error: Error): void {
  for (const waiter of waiting.values()) waiter.reject(error)
  waiting.clear()
}

async function end(child: ChildProcess, call: (verb: string) => Promise<unknown>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  await call('stop').finally(() => child.connected && child.disconnect())
  await exited
}
