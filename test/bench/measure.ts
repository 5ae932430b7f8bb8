import type { Ground } from './ground.ts'

/** Which half of a measure: the bare loop on the NATS client, or the runtime. */
export type Side = 'bare' | 'troupe'

/** How much of everything to do. */
export interface Plan {
  /** For a look, not for a verdict: a tenth of the messages, one round. */
  readonly quick: boolean
  /** Without the runtime only the bare halves run. */
  readonly sides: readonly Side[]
}

/** What must be true of a row, taken from DESIGN section 11. */
export type Hold =
  | { readonly kind: 'share'; readonly atLeast: number }
  | { readonly kind: 'added'; readonly atMost: number }
  /** `orOfBare`: or so many times what the bare loop took in the same run, where that is more: machines differ. */
  | { readonly kind: 'limit'; readonly atMost: number; readonly orOfBare?: number }
  | { readonly kind: 'none' }

/** Variables of a process's environment. */
export type Environment = Readonly<Record<string, string>>

/**
 * For measures of resident memory: one arena of glibc's malloc. By default each thread of V8's has one of its own, and what they cut up
 * between them (buffers are made in one and freed in another) grows for a while, whoever allocates: it is not what a worker keeps.
 */
export const ONE_ARENA: Environment = { MALLOC_ARENA_MAX: '1' }

/** What one round of one side found. */
export interface Round {
  readonly value: number
  /** CPU of the measured process, user and system, in microseconds a message. */
  readonly cpuUs?: number
  /** Peak resident memory of the measured process in MiB. */
  readonly rssMb?: number
}

/** The rounds of one row, each side's in the order in which they ran. */
export interface Rows {
  readonly name: string
  readonly unit: string
  readonly hold: Hold
  readonly rounds: Readonly<Record<Side, readonly Round[]>>
}

/** One measure of DESIGN section 11. It may give several rows: p50 and p99 of the same run. */
export type Measure = (ground: Ground, plan: Plan) => Promise<Rows[]>

/** Collects what each side's rounds gave, by name. */
export type Found = Readonly<Record<string, Round>>

/**
 * Runs both sides in turn (bare, runtime, bare, runtime, …) on one server, which is emptied before each, and gathers their
 * rounds. In turn, because a busy machine slows down for seconds at a time: so it slows both.
 */
export async function inTurn(
  ground: Ground,
  plan: Plan,
  rounds: number,
  round: (side: Side, space: string) => Promise<Found>,
): Promise<(name: string, unit: string, hold: Hold) => Rows> {
  const found: Record<Side, Found[]> = { bare: [], troupe: [] }
  for (let i = 0; i < (plan.quick ? 1 : rounds); i++) {
    for (const side of plan.sides) {
      await ground.wipe()
      found[side].push(await round(side, `${side}${i}`))
    }
  }
  const column = (side: Side, name: string) => found[side].flatMap((each) => each[name] ?? [])
  return (name, unit, hold) => ({
    name,
    unit,
    hold,
    rounds: { bare: column('bare', name), troupe: column('troupe', name) },
  })
}
