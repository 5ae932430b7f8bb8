/**
 * Deaths of threads and processes: what is reported of one, which messages it counts against, and what becomes of those.
 * All pure.
 *
 * | what was known of the end                             | counts against               | others that ran there |
 * | an exception that nobody caught, of a run's own code  | that run                     | innocent              |
 * | the same, of code that an ended run left behind       | nobody                       | innocent              |
 * | anything else (exit, signal, abort, out of memory)    | every run that was going on  |                       |
 * | it was ended from here for a run (limit, cancel, …)   | nobody: that run has its own outcome | innocent      |
 *
 * With one message at a time in each member, the default, "every run that was going on" is one. Innocent runs go back to the
 * mailbox uncounted. What only waited, in the mailbox or here, is not touched by any of it.
 */
import type { Outcome } from '../outcome.ts'
import { formatSize } from '../size.ts'

/** Why a thread or process ended that nobody had asked to. */
export type CrashCause =
  /** `process.exit`, or its event loop ran empty. */
  | 'exit'
  /** By a signal, from outside or from inside (`process.abort`, a segmentation fault). */
  | 'signal'
  /** An exception that nobody caught. */
  | 'uncaught'
  /** Its heap or its memory limit was full. */
  | 'memory'

/** What is known of a crash; stands in the dead letter's detail, in events and in logs. */
export interface CrashReport {
  /** RFC 3339. */
  readonly at: string
  /** Name of the thread or process: `<system>/<actor>/<number>`. */
  readonly member: string
  readonly kind: 'thread' | 'process'
  readonly pid?: number
  readonly cause: CrashCause
  /** Exit code, where it ended with one. */
  readonly code?: number
  readonly signal?: string
  /** Name, message and stack of an exception that nobody caught. */
  readonly error?: string
  /** Memory when it was last looked at: bytes. */
  readonly memoryBytes?: number
  /** The last that it wrote to stderr. */
  readonly stderr?: string
}

/** Crashes that a message has behind it. */
export interface Crashes {
  readonly count: number
  /** Of these so many were seen by a process that lived on. The others are runs that never ended. */
  readonly seen: number
  /** Of those that were seen, the newest. */
  readonly reports: readonly CrashReport[]
}

export const NO_CRASHES: Crashes = { count: 0, seen: 0, reports: [] }

/** What a member's end means for a run that was going on in it. */
export type Loss = { readonly kind: 'crashed'; readonly report: CrashReport } | { readonly kind: 'innocent' }

/** Whose code it was, as far as that is known. */
export type Blame =
  /** Nobody knows. */
  | 'unknown'
  /** Code of a run that had ended, or of none that is known here. */
  | 'nobody'
  /** The code of that run. */
  | { readonly run: number }

/** Whether a crash counts against a run that was going on. */
export function isBlamed(run: number, blame: Blame): boolean {
  if (blame === 'unknown') return true
  return blame !== 'nobody' && blame.run === run
}

/** Reports that are kept: the newest. */
const MOST_REPORTS = 5

/** What becomes of a run whose thread or process is gone. `most`: crashes after which a message is poison. */
export function lostOutcome(loss: Loss, earlier: Crashes, most: number): Outcome {
  if (loss.kind === 'innocent') return { kind: 'released' }
  const crashes = withCrash(earlier, loss.report)
  return crashes.count < most ? { kind: 'crashed', crashes } : poison(crashes)
}

function withCrash({ count, seen, reports }: Crashes, report: CrashReport): Crashes {
  return { count: count + 1, seen: seen + 1, reports: [...reports, report].slice(-MOST_REPORTS) }
}

/** The outcome of a message in whose runs too much has died. Of the death of a whole process the first is not counted. */
export function poison({ count, seen, reports }: Crashes): Outcome {
  const last = reports.at(-1)
  const how = last === undefined ? '' : `; the last time, ${describeCrash(last)}`
  const times = seen < count ? `${count + 1} times` : `${count} times`
  const message = `what ran it died ${times} (or was killed)${how}: it is not run again by itself`
  return { kind: 'dead', reason: 'poison', failure: { name: 'PoisonError', message, code: 'POISON' }, crashes: reports }
}

/** A crash in words: `its process was ended by SIGKILL`. */
export function describeCrash({ kind, cause, code, signal, error, memoryBytes }: CrashReport): string {
  switch (cause) {
    case 'exit':
      return `its ${kind} ended by itself with exit code ${code}`
    case 'signal':
      return `its ${kind} was ended by ${signal}`
    case 'uncaught':
      return `its ${kind} ended since nobody caught: ${error?.split('\n')[0]}`
    case 'memory':
      return `its ${kind} was out of memory${memoryBytes === undefined ? '' : `, at ${formatSize(memoryBytes)}`}`
    default:
      return cause satisfies never
  }
}

/** Bounds of what a report says: it is stored beside the message. */
const STDERR_CHARS = 1_000
const ERROR_CHARS = 1_000

/** A report within bounds. */
export function boundReport({ error, stderr, ...report }: CrashReport): CrashReport {
  return {
    ...report,
    ...(error === undefined ? {} : { error: error.slice(0, ERROR_CHARS) }),
    ...(stderr === undefined || stderr === '' ? {} : { stderr: stderr.slice(-STDERR_CHARS) }),
  }
}
