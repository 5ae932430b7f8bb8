/** `troupe top`. */
import { sleep } from '../../time/clock.ts'
import { parseDuration } from '../../time/duration.ts'
import type { Link, Troupe } from '../../troupe.ts'
import type { WaitingMessage } from '../../view/mailboxes.ts'
import { askRunning } from '../../view/running.ts'
import { readOverview, type Overview } from '../../view/status.ts'
import { command } from '../command.ts'
import { usage } from '../parse.ts'
import { sayJson } from '../print.ts'
import { withTroupe } from '../session.ts'
import { afterKey, FIRST, screen, sorted, type Inside, type TopState } from './screen.ts'

const EVERY = '1s'
/** Rows of each kind for the actor that is looked into. */
const INSIDE_ROWS = 8

export const top = command({
  usage: '[ACTOR…]',
  count: [0, Infinity],
  flags: {
    every: { value: 'DURATION', meaning: `time between two looks; default ${EVERY}` },
  },
  details: `Shows what "troupe status" does, again and again, in the terminal. Keys: s sorts, the arrows choose an actor, return looks into it, p pauses or
resumes it, q quits. With --json each look is one line, also without a terminal.

Examples:
  troupe top
  troupe top mailer --every 5s --json`,
  async run({ args, flags, isJson, ...rest }) {
    if (!isJson && !(process.stdin.isTTY && process.stdout.isTTY))
      throw usage('expected a terminal to draw in, got none. "troupe status" prints once, --json goes on line by line.')
    const everyMs = Math.max(100, parseDuration(flags.every ?? EVERY, 'every'))
    const actors = args.length === 0 ? undefined : args
    await withTroupe(rest, (troupe, link) =>
      isJson ? stream(link, actors, everyMs) : new Top(troupe, link, actors, everyMs).run(),
    )
  },
})

async function stream({ broker }: Link, actors: readonly string[] | undefined, everyMs: number): Promise<void> {
  const over = new AbortController()
  process.once('SIGINT', () => over.abort()).once('SIGTERM', () => over.abort())
  while (!over.signal.aborted) {
    sayJson(await readOverview(broker, actors))
    await sleep(everyMs, over.signal).catch(() => {})
  }
}

const ENTER_SCREEN = '\u001B[?1049h\u001B[?25l'
const LEAVE_SCREEN = '\u001B[?25h\u001B[?1049l'
const HOME = '\u001B[H'
const REST_OF_LINE = '\u001B[K'
const REST_OF_SCREEN = '\u001B[J'

/** What a terminal sends for a key. */
const KEYS: Readonly<Record<string, string>> = {
  '\u001B[A': 'up',
  k: 'up',
  '\u001B[B': 'down',
  j: 'down',
  s: 'sort',
  p: 'pause',
  '\r': 'enter',
  '\n': 'enter',
  q: 'quit',
  '\u0003': 'quit',
  '\u001B': 'quit',
}

class Top {
  readonly #troupe: Troupe
  readonly #link: Link
  readonly #actors: readonly string[] | undefined
  readonly #everyMs: number
  readonly #over = new AbortController()
  #state: TopState = FIRST
  #overview: Overview = { systems: [], actors: [] }
  #inside: Inside | undefined
  #problem = ''

  constructor(troupe: Troupe, link: Link, actors: readonly string[] | undefined, everyMs: number) {
    this.#troupe = troupe
    this.#link = link
    this.#actors = actors
    this.#everyMs = everyMs
  }

  async run(): Promise<void> {
    const { stdin, stdout } = process
    const onKey = (data: Buffer): void => this.#onKey(data.toString())
    const end = (): void => this.#over.abort()
    process.once('SIGTERM', end)
    stdin.setRawMode(true).on('data', onKey)
    stdout.write(ENTER_SCREEN)
    try {
      while (!this.#over.signal.aborted) {
        await this.#look()
        await sleep(this.#everyMs, this.#over.signal).catch(() => {})
      }
    } finally {
      stdin.off('data', onKey).setRawMode(false).pause()
      stdout.write(LEAVE_SCREEN)
      process.off('SIGTERM', end)
    }
  }

  /** What cannot be read now is said below; the last numbers stay. */
  async #look(): Promise<void> {
    try {
      this.#overview = await readOverview(this.#link.broker, this.#actors)
      this.#inside = this.#state.isInside ? await this.#lookInside() : undefined
      this.#problem = ''
    } catch (error) {
      this.#problem = String(error)
    }
    this.#draw()
  }

  async #lookInside(): Promise<Inside | undefined> {
    const actor = this.#chosen()
    if (actor === undefined) return undefined
    const waiting: WaitingMessage[] = []
    for await (const one of this.#troupe.mailboxes.peek(actor, {}, { limit: INSIDE_ROWS })) waiting.push(one)
    const running = await askRunning(this.#link.broker, { actor })
    return { running: running.slice(0, INSIDE_ROWS), waiting }
  }

  #onKey(text: string): void {
    const key = KEYS[text]
    if (key === 'quit') return this.#over.abort()
    if (key === undefined) return
    if (key === 'pause') return void this.#pause()
    this.#state = afterKey(this.#state, key, this.#overview.actors)
    this.#draw()
    if (key === 'enter') void this.#look()
  }

  async #pause(): Promise<void> {
    const actor = this.#overview.actors.find((one) => one.actor === this.#chosen())
    if (actor === undefined) return
    try {
      await (actor.state === 'paused' ? this.#troupe.resume(actor.actor) : this.#troupe.pause(actor.actor))
    } catch (error) {
      this.#problem = String(error)
    }
    await this.#look()
  }

  #chosen(): string | undefined {
    return this.#state.selected ?? sorted(this.#overview.actors, this.#state.sort)[0]?.actor
  }

  #draw(): void {
    if (this.#over.signal.aborted) return
    const { columns: width, rows: height } = process.stdout
    const lines = screen(this.#state, this.#overview, this.#inside, { width: width || 80, height: height || 24 })
    const all = this.#problem === '' ? lines : [...lines, this.#problem.slice(0, width || 80)]
    process.stdout.write(`${HOME}${all.map((line) => line + REST_OF_LINE).join('\r\n')}${REST_OF_SCREEN}`)
  }
}
