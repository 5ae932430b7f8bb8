/**
 * What a system counts and tells of itself, in one place: everything that shows a system to people or machines reads here.
 *
 * Owns: the tallies of its actors, the depths of their mailboxes. Does not own: what is counted when (worker.ts, live.ts).
 */
import type { ActorSpec } from '../actor.ts'
import type { Application } from '../application.ts'
import type { ServiceCard } from '../broker/service.ts'
import type { HostedActor } from '../hosted.ts'
import type { Link } from '../troupe.ts'
import { serviceCard } from './card.ts'
import { Depths } from './depths.ts'
import { ActorTally } from './tally.ts'

export interface ObservingParts {
  readonly link: Link
  readonly system: string
  readonly application: Application
  readonly specs: readonly ActorSpec[]
  /** The actor as it lives now. */
  hosted(actor: string): HostedActor | undefined
}

export class Observing {
  readonly #parts: ObservingParts
  /** What became of the messages of each actor; it outlives workers. */
  readonly tallies: ReadonlyMap<string, ActorTally>
  /** What waits in the mailboxes of the actors that run here. */
  readonly depths: Depths

  constructor(parts: ObservingParts) {
    this.#parts = parts
    this.tallies = new Map(parts.specs.map((spec) => [spec.name, new ActorTally(spec.name, spec.messages.keys())]))
    this.depths = new Depths(parts.link.broker)
  }

  tally(spec: ActorSpec): ActorTally {
    return this.tallies.get(spec.name) ?? new ActorTally(spec.name, spec.messages.keys())
  }

  /** Messages of one name that run in this system now. */
  running(actor: string, message: string): number {
    const runs = this.#parts.hosted(actor)?.worker.running ?? []
    return runs.filter((run) => run.message.name === message).length
  }

  /** What the actor's micro service says of it. */
  card(spec: ActorSpec): ServiceCard {
    const { system, application, link } = this.#parts
    return serviceCard({
      spec,
      tally: this.tally(spec),
      system,
      application,
      root: link.root,
      running: (message) => this.running(spec.name, message),
      depth: () => this.depths.of(spec),
    })
  }
}
