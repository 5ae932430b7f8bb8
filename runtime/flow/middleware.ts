/** What is wrapped around handlers: composed once, when a system starts. */
import type { MessageSpec } from '../actor.ts'
import type { Context, RunContext } from '../context.ts'
import type { Invoke } from './execute.ts'

/**
 * Runs around a handler. `next(payload)` runs the rest and gives the handler's result; not calling it leaves the handler out,
 * and what the middleware returns is the result then.
 */
export type Middleware = (payload: unknown, ctx: Context, next: (payload: unknown) => Promise<unknown>) => unknown

type Scope = <T>(ctx: RunContext, fn: () => T) => T

/** Without middleware: the handler, called directly. */
export function composeMiddleware(middleware: readonly Middleware[], scope: Scope): Invoke {
  if (middleware.length === 0) return (spec, payload, ctx) => scope(ctx, () => spec.handle(payload, ctx))
  return (spec, payload, ctx) => scope(ctx, () => step(middleware, 0, spec, payload, ctx))
}

async function step(
  middleware: readonly Middleware[],
  index: number,
  spec: MessageSpec,
  payload: unknown,
  ctx: RunContext,
): Promise<unknown> {
  const wrap = middleware[index]
  if (wrap === undefined) return spec.handle(payload, ctx)
  return wrap(payload, ctx, (next) => step(middleware, index + 1, spec, next, ctx))
}
