/** A member that is a thread of this process (worker_threads). */
import { Worker } from 'node:worker_threads'

import { heapMb, MAIN, Tail, type Port, type PortListener, type PortOptions } from './port.ts'
import type { FromMember } from './protocol.ts'

export function startThread({ start, title, execArgv, memoryLimitBytes }: PortOptions, listener: PortListener): Port {
  const thread = new Worker(MAIN, {
    workerData: start,
    name: title,
    execArgv: [...execArgv],
    stderr: true,
    // What it opened is closed with it, however it ends.
    trackUnmanagedFds: true,
    ...(memoryLimitBytes === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: heapMb(memoryLimitBytes) } }),
  })
  const stderr = new Tail()
  let isOutOfMemory = false
  thread.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr.add(text)
    process.stderr.write(text)
  })
  thread.on('message', (message: FromMember) => listener.onMessage(message))
  thread.on('error', (error: NodeJS.ErrnoException) => {
    isOutOfMemory ||= error.code === 'ERR_WORKER_OUT_OF_MEMORY'
    stderr.add(`${error.stack ?? error.message}\n`)
  })
  thread.once('exit', (code) => listener.onExit({ code, isOutOfMemory, stderr: stderr.text }))
  return { pid: undefined, send: (message) => thread.postMessage(message), kill: () => void thread.terminate() }
}
