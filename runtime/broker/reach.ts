/**
 * Whether JetStream can be reached through the server that we are connected to.
 *
 * A server that is cut off from its cluster keeps its clients' connections and serves them nothing: the leader of every
 * stream is elsewhere. The client library stays with such a server for ever, since the connection itself is well. So who
 * asks JetStream for something tells here what came of it, and when nothing has come for too long, the connection moves on.
 *
 * Too long is more than an election takes (4 to 9 s in nats-server): leaving during one gains nothing. A server that knows of
 * no other member of its cluster any more is left sooner. Each move in vain doubles the wait: where nothing serves anywhere,
 * clients must not run in circles.
 */

/** Nothing was served for so long, while something was asked: leave. */
const PATIENCE_MS = 10_000
const ALONE_PATIENCE_MS = 2_000
const MAX_PATIENCE_MS = 60_000
/** Without a word in vain for so long, nobody asks for anything: no reason to leave. */
const QUIET_MS = 6_000

export class Reach {
  /** Monotonic ms of the first and the last word in vain since something was served. */
  #vainSince: number | undefined
  #vainAt = 0
  #leftAt = -Infinity
  #moves = 0
  #isCalm = true

  /**
   * JetStream answered: an ack, data, or a refusal with a reason. What a leader says without its followers (a heartbeat, what
   * it still delivers) is no answer: one that is cut off does not know it for ten seconds.
   */
  served(): void {
    // On the path of every ack: one look, and no more.
    if (this.#isCalm) return
    this.#isCalm = true
    this.#vainSince = undefined
    this.#moves = 0
  }

  /** Nobody answered what was asked at `askedAt`, or nobody who could help. */
  inVain(now: number, askedAt = now): void {
    // What was asked of the server before says nothing about this one, and an old trouble that passed nothing about now.
    if (askedAt < this.#leftAt) askedAt = now
    const isNew = this.#vainSince === undefined || now - this.#vainAt > QUIET_MS
    this.#vainSince = isNew ? askedAt : Math.min(this.#vainSince ?? askedAt, askedAt)
    this.#vainAt = now
    this.#isCalm = false
  }

  /** Whether to leave this server; `isAlone`: it knows of no other member of its cluster. */
  isLost(now: number, isAlone: boolean): boolean {
    if (this.#vainSince === undefined || now - this.#vainAt > QUIET_MS) return false
    const patience = isAlone ? ALONE_PATIENCE_MS : PATIENCE_MS
    return now - this.#vainSince >= Math.min(MAX_PATIENCE_MS, patience * 2 ** this.#moves)
  }

  /** The connection leaves: the next server has its own chance. */
  left(now: number): void {
    this.#leftAt = now
    this.#vainSince = undefined
    this.#moves++
    this.#isCalm = false
  }
}
