/** `troupe start`. */
import { relative } from 'node:path'

import type { Loaded } from '../../config/index.ts'
import { specOf, type AnyActor } from '../actor.ts'
import type { Until } from '../onceAndOut.ts'
import { startSystem } from '../starting.ts'
import { actorsIn } from '../supervision/definition.ts'
import type { System } from '../system.ts'
import { loadChildren } from './actorFiles.ts'
import { command, type Invocation } from './command.ts'
import { version } from './helpText.ts'
import { given } from './input.ts'
import { fields, say, sayJson } from './print.ts'
import { loadSettings } from './session.ts'

export const start = command({
  usage: '[FILE…]',
  count: [0, Infinity],
  flags: {
    concurrency: {
      value: 'NUMBER',
      setting: 'mailbox-concurrency',
      meaning: 'messages that a worker runs at once, unless its actor says otherwise; short for --mailbox-concurrency',
    },
    'until-empty': { meaning: 'end when no message waits or runs; what is parked for later is left' },
    'max-messages': { value: 'NUMBER', meaning: 'end after so many messages; no more are begun' },
    'max-idle': { value: 'DURATION', meaning: 'end after so long without work: 30s' },
  },
  details: `Runs every actor that the files export, TypeScript or JavaScript, and every supervisor(…) with its actors. Without files: those of
the setting "actors".
SIGTERM and Ctrl-C let running messages finish (for --shutdown-within, 30s) and give the rest back; a second one aborts them.

It ends by itself, with exit code 0, by --until-empty, --max-messages and --max-idle: whichever comes first.

Examples:
  troupe start actors/mailer.ts actors/render.ts
  troupe start actors/mailer.ts --until-empty
  troupe start actors/*.ts --servers nats://localhost:4222 --concurrency 50`,
  async run({ args, flags, isJson, ...invocation }) {
    const loaded = await loadSettings(invocation)
    const children = await loadChildren(args.length > 0 ? args : loaded.config.actors)
    const actors = children.flatMap(actorsIn)
    const until = untilOf(flags)
    const system = await startSystem(loaded.config, loaded.root, { actors: children, ...(until && { until }) })
    if (isJson) sayJson(startedData(system, loaded, actors))
    else say(startedText(system, loaded, actors, invocation))
    // For a parent that listens: "troupe dev", and process managers that wait for this word.
    if (process.connected) process.send?.('ready')
    await system.stopped
  },
})

function untilOf(flags: {
  readonly 'until-empty': boolean
  readonly 'max-messages': string | undefined
  readonly 'max-idle': string | undefined
}): Until | undefined {
  const messages = flags['max-messages']
  if (!flags['until-empty'] && messages === undefined && flags['max-idle'] === undefined) return undefined
  return given({
    empty: flags['until-empty'],
    messages: messages === undefined ? undefined : Number(messages),
    idle: flags['max-idle'],
  })
}

function startedData(system: System, { config }: Loaded, actors: readonly AnyActor[]): Record<string, unknown> {
  const named = actors
    .map((actor) => specOf(actor))
    .map(({ name, messages }) => ({ name, messages: [...messages.keys()] }))
  const { server } = system.troupe
  return { version: version(), system: system.name, server, namespace: config.namespace, actors: named }
}

type Told = Pick<Invocation, 'settings' | 'configFile'>

function startedText(system: System, { config }: Loaded, actors: readonly AnyActor[], invocation: Told): string {
  const specs = actors.map((actor) => specOf(actor))
  const own = ` (the project's own, its data in ${relative(process.cwd(), config.server.dir) || '.'})`
  const { server } = system.troupe
  const first = specs[0]
  const [actor, message] = [first?.name, first?.messages.keys().next().value]
  const pairs = [
    ['actors', specs.map(({ name, messages }) => `${name} (${[...messages.keys()].join(', ')})`).join(', ')],
    ['server', `${server}${config.nats.servers.length === 0 ? own : ''}`],
    ['namespace', config.namespace],
    ['system', system.name],
    ['send one', `npx troupe send ${actor}.${message} '{}'${repeated(invocation)}`],
    ['', `nats --server ${server} pub ${config.namespace}.do.${actor}.${message} '{}'`],
    ['stop', 'Ctrl-C lets running messages finish; a second one aborts them'],
  ] as const
  return `troupe ${version()} is running\n${fields(pairs, '  ')}`
}

/** The flags that a command in another terminal needs to find the same place. Addresses with a login are left out. */
function repeated({ settings, configFile }: Told): string {
  const names = ['namespace', 'nats-servers', 'server-dir'].filter((name) => settings[name] !== undefined)
  const flags = names.map((name) => `--${name} ${settings[name]}`).filter((flag) => !flag.includes('@'))
  return [...flags, ...(configFile === undefined ? [] : [`--config ${configFile}`])].map((flag) => ` ${flag}`).join('')
}
