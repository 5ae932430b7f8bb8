/** From a tree as it was checked to supervisors that can be started. */
import type { ActorSpec } from '../actor.ts'
import type { Child } from './child.ts'
import type { ChildSpec } from './spec.ts'
import { Supervisor, type SupervisorHost } from './supervisor.ts'
import type { SupervisorSpec, TreeSpec } from './treeSpec.ts'

export interface BuildHost extends SupervisorHost {
  /** A new life of an actor. */
  worker(actor: ActorSpec): Child
  /** For workers that set none: ms. */
  readonly stopWithinMs: number
  /** Between a run's signal and giving it up: ms. */
  readonly graceMs: number
}

/** A worker that does not end after its grace, twice, has so much longer to give up and settle what it holds. */
const OVERDUE_MS = 10_000

export function buildSupervisor(spec: SupervisorSpec, host: BuildHost): Supervisor {
  const children = spec.children.map((child) => childSpec(child, host))
  return new Supervisor(spec.id, spec.policy, children, host)
}

function childSpec(spec: TreeSpec, host: BuildHost): ChildSpec {
  const { id, kind, restart, significant, stopWithinMs } = spec
  return {
    id,
    kind,
    restart,
    significant,
    stopWithinMs: stopWithinMs ?? (kind === 'worker' ? host.stopWithinMs : Infinity),
    isTimeDefault: stopWithinMs === undefined,
    overdueMs: 2 * host.graceMs + OVERDUE_MS,
    make: () => (spec.kind === 'worker' ? host.worker(spec.actor) : buildSupervisor(spec, host)),
  }
}
