/** A contract as a TypeScript file: one interface per actor, for `actorRef<Mailer>('mailer')` in services that don't hold the actor's code. */
import type { Application } from '../application.ts'
import type { JsonSchema } from '../jsonSchema.ts'
import type { ActorContract, Contract, MessageContract } from './contract.ts'
import { key, oneLine, schemaType } from './schemaType.ts'

export function typescriptOf({ application, namespace, actors }: Contract): string {
  const names = new Names()
  const own = actors.map((actor) => [names.take(actor.name), actor] as const)
  const blocks = own.flatMap(([name, actor]) => actorBlocks(name, actor, names))
  return [...headLines(application, namespace), ...blocks].join('\n')
}

function headLines({ name, version }: Application, namespace: string): string[] {
  return [
    '/**',
    ` * The actors of ${oneLine(`${name} ${version}`)}, namespace "${namespace}". Written by "troupe contract": write it again rather than edit it.`,
    ' *',
    ' * What a handler returns is known to its own code only: results are `unknown` here.',
    ' */',
    "import type { MessageRef } from 'troupe'",
    '',
  ]
}

/** Names of types, each once: `a-b` and `a_b` would be the same. */
class Names {
  readonly #taken = new Set(['MessageRef', 'Record'])

  take(...words: readonly string[]): string {
    const name = words
      .flatMap((word) => word.split(/[^a-zA-Z0-9]+/))
      .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
      .join('')
    let free = name
    for (let count = 2; this.#taken.has(free); count++) free = `${name}${count}`
    this.#taken.add(free)
    return free
  }
}

function actorBlocks(name: string, actor: ActorContract, names: Names): string[] {
  const messages = actor.messages.map((message) => ({
    message,
    payload: message.payload === undefined ? undefined : names.take(name, message.name),
  }))
  const members = messages.map(
    ({ message, payload = 'unknown' }) =>
      `${about(message)}  readonly ${key(message.name)}: MessageRef<${payload}, unknown>`,
  )
  const description = actor.description === undefined ? '' : `${sentence(actor.description)} `
  const usage = `\`actorRef<${name}>(${JSON.stringify(actor.name).replaceAll('"', "'")})\``
  return [
    `/** ${description}For ${usage}. */\nexport interface ${name} {\n${members.join('\n')}\n}\n`,
    ...messages.flatMap(({ message, payload }) =>
      message.payload === undefined || payload === undefined
        ? []
        : payloadBlocks(payload, `${actor.name}.${message.name}`, message.payload, names),
    ),
  ]
}

function about({ description, payloadMissing }: MessageContract): string {
  const missing = payloadMissing === undefined ? undefined : `No type of the payload: ${payloadMissing}`
  const text = [description, missing].flatMap((part) => (part === undefined ? [] : [sentence(part)])).join(' ')
  return text === '' ? '' : `  /** ${text} */\n`
}

function sentence(text: string): string {
  const line = oneLine(text)
  return /[.!?…]$/.test(line) ? line : `${line}.`
}

/** The payload's type, and one for each definition in its schema. */
function payloadBlocks(name: string, message: string, schema: JsonSchema, names: Names): string[] {
  const definitions = ['$defs', 'definitions'].flatMap((group) =>
    Object.entries((schema[group] ?? {}) as Record<string, JsonSchema>).map(([definition, one]) => ({
      pointer: `#/${group}/${definition}`,
      name: names.take(name, definition),
      one,
    })),
  )
  const pointers = new Map([['#', name], ...definitions.map((one) => [one.pointer, one.name] as const)])
  const nameOf = (pointer: string): string | undefined => pointers.get(decodePointer(pointer))
  return [
    `/** Payload of ${message}. */\nexport type ${name} = ${schemaType(schema, nameOf)}\n`,
    ...definitions.map((one) => `export type ${one.name} = ${schemaType(one.one, nameOf)}\n`),
  ]
}

/** RFC 6901 within a URI: `~1` is a slash, `%24` a dollar. */
function decodePointer(pointer: string): string {
  try {
    return decodeURIComponent(pointer).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return pointer
  }
}
