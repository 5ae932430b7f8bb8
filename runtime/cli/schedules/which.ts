/** Which schedule is meant. */
import type { FlagSpecs } from '../command.ts'

export const whichFlag = {
  actor: { value: 'ACTOR', meaning: 'of this actor: needed only where two have a schedule with the same id' },
} as const satisfies FlagSpecs
