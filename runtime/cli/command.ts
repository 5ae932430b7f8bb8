/** What a command of `troupe` is, and what it is given when it runs. */

/** A flag of a command. */
export interface FlagSpec {
  readonly meaning: string
  /** What its value is called in help: `DURATION`. Absent: the flag is a switch. */
  readonly value?: string
  /** It may be given several times. */
  readonly isList?: true
  /** One letter: `y` for `-y`. */
  readonly short?: string
  /** The setting, by the name of its flag, that this is another name of. */
  readonly setting?: string
}

export type FlagSpecs = Readonly<Record<string, FlagSpec>>

type ValueOf<Spec> = Spec extends { isList: true }
  ? readonly string[]
  : Spec extends { value: string }
    ? string | undefined
    : boolean

export type FlagValues<Specs> = { readonly [Name in keyof Specs]: ValueOf<Specs[Name]> }

/** A command line that was read. */
export interface Invocation<Specs = FlagSpecs> {
  readonly args: readonly string[]
  readonly flags: FlagValues<Specs>
  /** Flags that are settings, by name: `nats-servers`. */
  readonly settings: Readonly<Record<string, string | boolean>>
  /** The configuration file, where a flag names one. */
  readonly configFile: string | undefined
  /** Print JSON for programs. */
  readonly isJson: boolean
}

export interface Command<Specs = FlagSpecs> {
  /** What follows the name: `ACTOR.MESSAGE [PAYLOAD]`. */
  readonly usage: string
  /** Fewest and most arguments. */
  readonly count: readonly [least: number, most: number]
  readonly flags: Specs
  /** What help says below the flags: more about it, examples. */
  readonly details: string
  /** Returns the exit code, 0 where there is none. */
  run(invocation: Invocation<Specs>): Promise<number | void>
}

/** A command, its flags typed by their own description. */
export function command<const Specs extends FlagSpecs>(definition: Command<Specs>): Command {
  return definition
}
