/** What `dead retry` and `dead purge` share: show what would be done, have it confirmed, do exactly that. */
import type { DeadLetter } from '../../client/dead.ts'
import { ActorError, toError } from '../../errors.ts'
import type { Troupe } from '../../troupe.ts'
import { agreed, agreeFlags, type Answer } from '../agree.ts'
import type { FlagSpecs, FlagValues, Invocation } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { countOf, given } from '../input.ts'
import { usage } from '../parse.ts'
import { counted, note, say, sayJson } from '../print.ts'
import { shown } from '../reveal.ts'
import { withTroupe } from '../session.ts'
import { filterFlags, filterOf } from './filter.ts'
import { letterData, letterTable } from './letters.ts'

export const changeFlags = {
  ...filterFlags,
  all: { meaning: 'all dead letters of the namespace' },
  limit: { value: 'NUMBER', meaning: 'most letters to touch; default: all that match' },
  ...agreeFlags,
} as const satisfies FlagSpecs

/** What is done to a letter, and how it is told. */
export interface Change {
  readonly verb: string
  readonly past: string
  apply(troupe: Troupe, letter: DeadLetter): Promise<unknown>
}

type Ordered = Invocation<typeof changeFlags>

/** Returns the exit code. */
export async function changeLetters(change: Change, { args, flags, isJson, ...rest }: Ordered): Promise<number> {
  const filters = filtersOf(change, args, flags)
  return withTroupe(rest, async (troupe, { secrets }) => {
    const letters = await findLetters(troupe, filters, countOf(flags.limit, 'limit'))
    if (!isJson && letters.length > 0) say(letterTable(letters.map((letter) => shown(letter, secrets))))
    if (letters.length === 0 && args.length > 0) throw noneWithId(args)
    const answer =
      letters.length === 0
        ? 'no'
        : await agreed(`${change.verb} ${counted(letters.length, 'dead letter')}`, flags, isJson)
    const failures = answer === 'yes' ? await applyAll(change, troupe, letters) : []
    tell(
      change,
      letters.map((letter) => shown(letter, secrets)),
      { answer, isJson, failures },
    )
    if (failures.length > 0) return exitCodes.failed
    return answer === 'unasked' ? exitCodes.usage : exitCodes.done
  })
}

function filtersOf(
  { verb }: Change,
  args: readonly string[],
  flags: FlagValues<typeof changeFlags>,
): ReturnType<typeof filterOf>[] {
  const filter = filterOf(flags)
  if (args.length > 0) return args.map((id) => ({ ...filter, id }))
  if (flags.all || Object.keys(filter).length > 0) return [filter]
  throw usage(`expected which dead letters to ${verb}: ids, a filter such as --actor, or --all, got none of them`)
}

async function findLetters(
  troupe: Troupe,
  filters: ReturnType<typeof filtersOf>,
  limit: number | undefined,
): Promise<DeadLetter[]> {
  const found = new Map<number, DeadLetter>()
  for (const filter of filters) {
    for await (const letter of troupe.dead.list(filter, given({ limit }))) found.set(letter.sequence, letter)
  }
  return [...found.values()].slice(0, limit)
}

function noneWithId(ids: readonly string[]): ActorError {
  const text = `expected dead letters with the id ${ids.join(', ')}, but there are none that match. "troupe dead ls" lists them.`
  return new ActorError('NO_DEAD_LETTER', text)
}

interface Failed {
  readonly letter: DeadLetter
  readonly error: Error
}

/** Each by its sequence: what was shown is what is done, and one that fails holds up no other. */
async function applyAll(change: Change, troupe: Troupe, letters: readonly DeadLetter[]): Promise<Failed[]> {
  const failures: Failed[] = []
  for (const letter of letters) {
    await change.apply(troupe, letter).catch((error: unknown) => failures.push({ letter, error: toError(error) }))
  }
  return failures
}

interface Result {
  readonly answer: Answer
  readonly isJson: boolean
  readonly failures: readonly Failed[]
}

function tell({ verb, past }: Change, letters: readonly DeadLetter[], { answer, isJson, failures }: Result): void {
  const count = answer === 'yes' ? letters.length - failures.length : 0
  const failed = failures.map(({ letter, error }) => ({
    sequence: letter.sequence,
    id: letter.id,
    error: error.message,
  }))
  if (isJson) return sayJson({ dryRun: answer !== 'yes', [past]: count, failed, letters: letters.map(letterData) })
  for (const { sequence, id, error } of failed) note(`${id} (sequence ${sequence}) could not be ${past}: ${error}`)
  if (letters.length === 0) return note('no dead letter matches')
  if (answer === 'yes') return say(`${past} ${counted(count, 'dead letter')}`)
  const advice = answer === 'unasked' ? '. Add --yes to do it.' : ''
  note(`nothing was done: this would ${verb} ${counted(letters.length, 'dead letter')}${advice}`)
}
