/** Whether a system is well: for `troupe health`, for probes of orchestrators, for people. */
import type { TreeNode } from '../supervision/tree.ts'

export interface HealthCheck {
  readonly name: string
  readonly ok: boolean
  /** What is wrong, or what holds. */
  readonly detail: string
}

export interface Health {
  readonly system: string
  /** The process does its work, or tries to: false is a reason to end it and start another. */
  readonly live: boolean
  /** It takes messages: connected, started, all its actors run, it does not stop. */
  readonly ready: boolean
  readonly checks: readonly HealthCheck[]
}

export interface HealthParts {
  readonly system: string
  readonly isConnected: boolean
  /** Where it is connected, without credentials. */
  readonly server: string
  /** `ended`: it gave up, or has stopped. */
  readonly phase: 'starting' | 'running' | 'stopping' | 'ended'
  /** The supervision tree. */
  readonly tree: readonly TreeNode[]
}

/** Pure. */
export function healthOf({ system, isConnected, server, phase, tree }: HealthParts): Health {
  const connection = isConnected ? `connected to ${server}` : 'no connection to NATS: it is tried again'
  const checks = [
    { name: 'connection', ok: isConnected, detail: connection },
    { name: 'system', ok: phase === 'running', detail: phase },
    ...tree.flatMap(childChecks),
  ]
  return { system, live: phase !== 'ended', ready: checks.every(({ ok }) => ok), checks }
}

/** What an operator stopped by hand is as he wants it; all else that does not run is not well. */
function childChecks({ id, kind, state, failure, children = [] }: TreeNode): HealthCheck[] {
  const ok = state === 'running' || state === 'stopped'
  const detail = failure === undefined || ok ? state : `${state}: ${failure.name}: ${failure.message}`
  const own = { name: `${kind === 'worker' ? 'actor' : 'supervisor'} ${id}`, ok, detail }
  return [own, ...children.flatMap(childChecks)]
}
