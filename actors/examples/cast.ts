/** Who plays in the demo: endpoints, what they are like, and which of them each event goes to. */
import type { WebhookEvent } from './event.ts'
import type { Mood } from './receiver.ts'
import type { Endpoint } from './webhooks.ts'

interface Role {
  readonly mood: Mood
  /** The sender's secrets, newest first, and those that the endpoint knows. Default: the same one. */
  readonly signs?: readonly string[]
  readonly knows?: readonly string[]
}

const CAST: Readonly<Record<string, Role>> = {
  shop: { mood: () => 200 },
  // Its secret is being replaced: events are signed with both, and it knows only the old one.
  rotating: { mood: () => 200, signs: [secret('new'), secret('old')], knows: [secret('old')] },
  flaky: { mood: (visit) => (visit <= 2 ? 503 : 200) },
  busy: { mood: (visit) => (visit === 1 ? { status: 429, retryAfter: '1' } : 200) },
  // It takes the event, but answers too late: the deliverer can't know, and sends it again.
  slow: { mood: (visit) => (visit === 1 ? 'silence' : 200) },
  down: { mood: () => 500 },
  gone: { mood: () => 410 },
  // Events are signed with a secret that it does not know.
  stranger: { mood: () => 200, knows: [secret('something else')] },
}

/** Each tenth of a second the next one, and again from the start. */
const SCRIPT = `
  shop flaky rotating shop slow shop gone shop rotating shop
  busy shop shop stranger rotating shop down shop shop rotating`
  .trim()
  .split(/\s+/)

/** The `n`th event, from 1, under an id that says where it goes. */
export function eventOf(n: number): { readonly id: string; readonly event: WebhookEvent } {
  const endpoint = SCRIPT[(n - 1) % SCRIPT.length] ?? 'shop'
  return { id: `${endpoint}-${n}`, event: { endpoint, type: 'order.paid', data: { order: n, total: 10 + (n % 90) } } }
}

/** Where the deliverer finds an endpoint of the receiver at `base`. */
export function endpointAt(base: string, name: string): Endpoint | undefined {
  if (!Object.hasOwn(CAST, name)) return undefined
  return { url: `${base}/${name}`, secrets: CAST[name]?.signs ?? [secret(name)] }
}

export const moods: Readonly<Record<string, Mood>> = Object.fromEntries(
  Object.entries(CAST).map(([name, { mood }]) => [name, mood]),
)

/** What the receiver's side of an endpoint knows. */
export function knownSecrets(name: string): readonly string[] {
  return CAST[name]?.knows ?? [secret(name)]
}

/** A secret of the demo's: made from a word, so that nothing has to be kept. */
function secret(word: string): string {
  return `whsec_${Buffer.from(`no secret at all: ${word}`.padEnd(32, '.')).toString('base64')}`
}
