#!/usr/bin/env node
/** The process of a command. */
import { main } from './commandLine.ts'
import { exitCodes } from './failure.ts'

// Whoever reads may have seen enough: `troupe dead ls | head`.
process.stdout.on('error', () => process.exit(exitCodes.done))

finish(await main(process.argv.slice(2)))

/** A handler's own timers and sockets don't keep the process; what was printed is written first. */
function finish(code: number): void {
  const last = code === 0 ? Number(process.exitCode ?? 0) : code
  process.exitCode = last
  process.stdout.write('', () => process.exit(last))
}
