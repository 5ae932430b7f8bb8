/** A process under test: started, listened to, killed. It dies with the test's own process, whatever ends that. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface Child extends AsyncDisposable {
  readonly pid: number
  /** How often it has told the test so. */
  count(what: string): number
  /** Resolves when it has told the test `what` so many times. Rejects if it ends before that. */
  heard(what: string, times?: number): Promise<void>
  /** Tells those handlers that hold to go on. */
  go(): void
  /** What a worker holds in memory when all garbage is collected: bytes. */
  heap(): Promise<number>
  /** `kill -9`, until it has ended. */
  kill9(): Promise<void>
  /** SIGSTOP: the whole process stands still. */
  freeze(): void
  thaw(): void
  /** SIGTERM, until it has ended by itself; its exit code. */
  stop(): Promise<number | null>
  readonly exited: Promise<number | null>
}

/** Starts a fixture and waits until it is ready. */
export async function startChild(fixture: 'worker' | 'sender' | 'isolatedWorker', setup: object): Promise<Child> {
  const path = fileURLToPath(new URL(`./fixtures/${fixture}.ts`, import.meta.url))
  const child = fork(path, [JSON.stringify(setup)], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const counts = new Map<string, number>()
  const listeners = new Set<() => void>()
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  child.on('message', ({ what }: { what: string }) => {
    counts.set(what, (counts.get(what) ?? 0) + 1)
    for (const listener of listeners) listener()
  })

  function heard(what: string, times = 1): Promise<void> {
    return new Promise((resolve, reject) => {
      const listener = (): void => {
        if ((counts.get(what) ?? 0) < times) return
        listeners.delete(listener)
        resolve()
      }
      listeners.add(listener)
      void exited.then((code) =>
        reject(new Error(`${fixture} ended with ${code} before it said ${what} ${times} times`)),
      )
      listener()
    })
  }
  async function kill9(): Promise<void> {
    child.kill('SIGKILL')
    await exited
  }
  async function heap(): Promise<number> {
    const held = new Promise<number>((resolve) => {
      const listener = ({ what, id }: { what: string; id?: string }): void => {
        if (what !== 'heap') return
        child.off('message', listener)
        resolve(Number(id))
      }
      child.on('message', listener)
    })
    child.send('heap')
    return held
  }
  await heard('ready')
  return {
    pid: child.pid ?? 0,
    count: (what) => counts.get(what) ?? 0,
    heard,
    go: () => void child.send('go'),
    heap,
    kill9,
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
    exited,
    [Symbol.asyncDispose]: kill9,
  }
}
