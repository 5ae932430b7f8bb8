/** A member that is a child process. */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { sleep } from '../time/clock.ts'
import { guardOrphan } from './orphans.ts'
import { heapMb, MAIN, Tail, type Port, type PortExit, type PortListener, type PortOptions } from './port.ts'
import type { FromMember } from './protocol.ts'

/** After its end: what it wrote and said before is waited for, unless a process that it left behind holds the pipes open. */
const LAST_WORDS_MS = 200

export function startProcess({ start, title, execArgv, memoryLimitBytes }: PortOptions, listener: PortListener): Port {
  const limits = memoryLimitBytes === undefined ? [] : [`--max-old-space-size=${heapMb(memoryLimitBytes)}`]
  const child = fork(fileURLToPath(MAIN), [title], {
    execArgv: [...execArgv, ...limits],
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  const stderr = new Tail()
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr.add(text)
    process.stderr.write(text)
  })
  child.on('message', (message: FromMember) => listener.onMessage(message))
  // That it could not be started, or that a message came too late for it: its exit says the same.
  child.on('error', (error) => stderr.add(`${error.message}\n`))
  void ending(child, stderr).then((exit) => listener.onExit(exit))
  if (child.pid !== undefined) {
    const done = guardOrphan(child.pid)
    child.once('exit', done)
  }
  const port: Port = {
    pid: child.pid,
    send: (message) => void (child.connected && child.send(message)),
    kill: () => void child.kill('SIGKILL'),
  }
  port.send({ kind: 'start', start })
  return port
}

async function ending(child: ChildProcess, stderr: Tail): Promise<PortExit> {
  const lastWords = Promise.all([
    new Promise((resolve) => child.once('disconnect', resolve)),
    new Promise((resolve) => child.stderr?.once('close', resolve)),
  ])
  const [code, signal] = await exited(child)
  await Promise.race([lastWords, sleep(LAST_WORDS_MS)])
  const isOutOfMemory = /FATAL ERROR: .*(?:heap out of memory|Allocation failed)/.test(stderr.text)
  return {
    ...(code === null ? {} : { code }),
    ...(signal === null ? {} : { signal }),
    isOutOfMemory,
    stderr: stderr.text,
  }
}

function exited(child: ChildProcess): Promise<readonly [number | null, NodeJS.Signals | null]> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve([code, signal]))
    // It never ran, so it will not exit.
    child.once('error', () => child.pid === undefined && resolve([null, null]))
  })
}
