/**
 * SIGTERM and SIGINT: the first drains, the second aborts what runs, a third ends the process at once. After an abort the
 * process ends with the signal's exit code, since not all that was begun was finished.
 */
import type { System } from './system.ts'

/** Conventional exit code after a signal: 128 and its number. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const

/** Returns what takes the handlers away again. */
export function handleSignals(system: Pick<System, 'stop' | 'log'>): () => void {
  let count = 0
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
    count++
    if (count === 1) {
      system.log.info(`${signal}: draining; once more to abort what still runs`)
      void system.stop()
    } else if (count === 2) {
      system.log.warn(`${signal}: aborting what still runs`)
      process.exitCode = EXIT_CODES[signal]
      void system.stop({ within: 0 })
    } else {
      process.exit(EXIT_CODES[signal])
    }
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return () => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}
