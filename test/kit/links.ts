/**
 * TCP links that can be cut, in a process of their own: what crosses them must not wait for a test that is busy. It ends with
 * the test's process, whatever ends that.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** `cut`: all connections are broken and none is taken; `silent`: they stay open, and nothing passes any more. */
export type LinkState = 'open' | 'cut' | 'silent'

export interface Links extends AsyncDisposable {
  /** Where each link is entered. */
  readonly ports: readonly number[]
  /** Resolves when it is so. */
  set(link: number, state: LinkState): Promise<void>
}

/** A link to each of the ports on loopback. */
export async function startLinks(to: readonly number[]): Promise<Links> {
  const path = fileURLToPath(new URL('./linkProcess.ts', import.meta.url))
  const child = fork(path, [JSON.stringify(to)], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit')
  const waiting = new Map<number, () => void>()
  let serial = 0
  const [{ ports }] = (await once(child, 'message')) as [{ ports: number[] }]
  child.on('message', (message: { serial: number }) => waiting.get(message.serial)?.())
  return {
    ports,
    set: (link, state) =>
      new Promise((resolve) => {
        waiting.set(++serial, resolve)
        child.send({ link, state, serial })
      }),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}
