/**
 * `npm start`: webhooks, really delivered. Events are sent through NATS to the deliverer of webhooks.ts, which posts them over HTTP to a
 * receiver in this process that fails some of them. Each run has a namespace of its own and removes it at its end.
 *
 * `npm start -- --for 10s` stops by itself. Stopping, by time or by Ctrl-C: no more is sent, what is on its way comes to its end,
 * then the sum. A second Ctrl-C does not wait for that. The exit code is 0 if nothing was lost.
 */
import { parseArgs } from 'node:util'

import { connect, run, type System, type Troupe } from '../../runtime/index.ts'
import { sleep, systemClock } from '../../runtime/time/clock.ts'
import { parseDuration } from '../../runtime/time/duration.ts'
import { endpointAt, eventOf, knownSecrets, moods } from './cast.ts'
import { startReceiver, type Receiver } from './receiver.ts'
import { Screen, tellEvent } from './screen.ts'
import { Tally } from './tally.ts'
import { webhookDeliverer } from './webhooks.ts'

const BETWEEN_EVENTS_MS = 100
const DRAIN_MS = 30_000
/** npm passes on a Ctrl-C that the terminal has sent to us already: within this time it is the same one. */
const SAME_SIGNAL_MS = 500

const screen = new Screen(process.stdout)
const tally = new Tally()

try {
  process.exitCode = await demo(readFor())
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

/** The exit code. */
async function demo(forMs: number | undefined): Promise<number> {
  const { stop, hurry } = whenToStop()
  const namespace = `demo_${systemClock.now().toString(36)}`
  const receiver = await startReceiver({ moods, secrets: knownSecrets })
  const webhooks = webhookDeliverer({
    endpoint: (name) => endpointAt(receiver.url, name),
    // Short ones, so that ten seconds show how everything ends.
    timeout: '500ms',
    retry: { attempts: 4, backoff: { base: '200ms', factor: 2, max: '2s', jitter: 0.2 } },
  })
  screen.say('Starting a system with the actor "webhooks" …')
  // The sender has a connection of its own, like a service elsewhere.
  await using sender = await connect({ namespace })
  const system = await run({
    actors: [webhooks],
    namespace,
    signals: false,
    logLevel: 'error',
    events: 'all',
    onEvent(event, data) {
      tellEvent(screen, event, data, tally.isOurs(data.id))
      tally.event(event, data)
    },
  })
  introduce(sender, receiver)
  const timer = forMs === undefined ? undefined : systemClock.setTimer(() => stop.abort(), forMs, { unref: true })
  const ticker = setInterval(
    () =>
      screen.status(
        tally.sum(() => true),
        tally.open,
      ),
    250,
  )
  await sendUntil(stop.signal, (n) => {
    const { id, event } = eventOf(n)
    tally.sending(id)
    return sender.send(webhooks.deliver, event, { id })
  })
  systemClock.clearTimer(timer)
  await finish(system, hurry.signal)
  clearInterval(ticker)
  await receiver.stop()
  // Awaited here: the sender is closed when this function ends.
  return await sumUp(sender, receiver)
}

/** One event after the other. What NATS did not take is told, and is not counted as sent. */
async function sendUntil(stop: AbortSignal, send: (n: number) => Promise<{ readonly id: string }>): Promise<void> {
  for (let n = 1; !stop.aborted; n++) {
    await send(n).then(
      ({ id }) => tally.sent(id),
      (error: Error) => screen.line('unsent', eventOf(n).id, error.message),
    )
    await sleep(BETWEEN_EVENTS_MS, stop).catch(() => {})
  }
}

/** All that was sent comes to its end before the system stops: retries are waited for. */
async function finish(system: System, hurry: AbortSignal): Promise<void> {
  screen.say(`Stopping: ${tally.open} on their way are waited for. Ctrl-C again to leave them.`)
  await tally.drained(AbortSignal.any([hurry, AbortSignal.timeout(DRAIN_MS)]))
  await system.stop(hurry.aborted ? { within: 0 } : {})
}

async function sumUp(sender: Troupe, receiver: Receiver): Promise<number> {
  const { sent, done, retried, dead, dropped, lost } = tally.sum((id) => receiver.taken.has(id))
  const repeats = [...receiver.taken.values()].reduce((sum, count) => sum + count, 0)
  screen.say('')
  for (const [count, reason] of await deadReasons(sender)) screen.say(`  ${count} dead: ${reason}`)
  const refused = receiver.forged > 0 ? `, ${receiver.forged} refused for their signature` : ''
  const taken = `${receiver.taken.size} events taken, ${repeats} repeats known by their webhook-id`
  screen.say(`  the receiver saw ${receiver.requests} requests: ${taken}${refused}`)
  screen.say(
    `sent ${sent}, done ${done}, retried ${retried}, dead ${dead}, lost ${lost}${dropped > 0 ? `, dropped ${dropped}` : ''}`,
  )
  if (tally.open === 0) await removeNamespace(sender)
  return lost === 0 ? 0 : 1
}

/** The dead letters as they are stored, by reason. */
async function deadReasons(sender: Troupe): Promise<[number, string][]> {
  const counts = new Map<string, number>()
  for await (const { failure, attempts } of sender.dead.list()) {
    const reason = `${failure.message}${attempts > 1 ? `, after ${attempts} attempts` : ''}`
    counts.set(reason, (counts.get(reason) ?? 0) + 1)
  }
  return [...counts].map(([reason, count]) => [count, reason])
}

/** Every stream of this run's namespace, by NATS's own requests: what is left behind would stay for ever. */
async function removeNamespace({ connection, config }: Troupe): Promise<void> {
  const api = config.nats.domain === undefined ? '$JS.API' : `$JS.${config.nats.domain}.API`
  const found = await connection.request(`${api}.STREAM.NAMES`, JSON.stringify({ subject: `${config.namespace}.>` }))
  const { streams } = found.json<{ streams: string[] | null }>()
  for (const name of streams ?? []) await connection.request(`${api}.STREAM.DELETE.${name}`)
}

function introduce(sender: Troupe, receiver: Receiver): void {
  const { namespace } = sender.config
  const example = '{"endpoint":"shop","type":"order.paid","data":{"order":1}}'
  screen.say(`NATS at ${sender.server}, namespace ${namespace}; webhooks go to ${receiver.url}

Send one more from another terminal, in this folder:
  npx troupe send webhooks.deliver '${example}' --namespace ${namespace}
or from anywhere, with any client of NATS:
  nats pub --server nats://${sender.server.replace('nats://', '')} ${namespace}.do.webhooks.deliver '${example}'
What died, and why:
  npx troupe dead ls --namespace ${namespace}
Ctrl-C stops and sums up.
`)
}

/** `stop` aborts at the first SIGINT or SIGTERM, or when whoever started us is gone; `hurry` at the next signal. */
function whenToStop(): { readonly stop: AbortController; readonly hurry: AbortController } {
  const [stop, hurry] = [new AbortController(), new AbortController()]
  let firstAt = Infinity
  const onSignal = (): void => {
    const now = systemClock.monotonic()
    if (now - firstAt > SAME_SIGNAL_MS) hurry.abort()
    firstAt = Math.min(firstAt, now)
    stop.abort()
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  process.stdout.on('error', () => stop.abort())
  // npm that is ended by a signal takes its shell with it, but not us: nobody could stop an orphan by Ctrl-C.
  const parent = process.ppid
  setInterval(() => process.ppid === parent || stop.abort(), 500).unref()
  return { stop, hurry }
}

function readFor(): number | undefined {
  const { values } = parseArgs({ options: { for: { type: 'string' } } })
  return values.for === undefined ? undefined : parseDuration(values.for, '--for')
}
