/** Which run a piece of code belongs to, also after its handler returned: for what it leaves behind. */
import { AsyncLocalStorage } from 'node:async_hooks'

import type { RunContext } from '../context.ts'

const scope = new AsyncLocalStorage<RunContext>()

/** Calls `fn` so that everything that it starts belongs to the run. */
export function runInScope<T>(ctx: RunContext, fn: () => T): T {
  return scope.run(ctx, fn)
}

/** The run that the current code belongs to, if any. */
export function runOfScope(): RunContext | undefined {
  return scope.getStore()
}
