/** `troupe contract`. */
import { writeFile } from 'node:fs/promises'

import type { Config } from '../../config/index.ts'
import { specOf, type ActorSpec } from '../actor.ts'
import { applicationOf, type Application } from '../application.ts'
import { asyncapiOf } from '../contract/asyncapi.ts'
import { contractOf, type Contract, type ContractSettings } from '../contract/contract.ts'
import { typescriptOf } from '../contract/typescript.ts'
import { ConfigError, describe, didYouMean, toError } from '../errors.ts'
import { jsonSchemaOf, type Draft, type SchemaText } from '../jsonSchema.ts'
import { loadActors } from './actorFiles.ts'
import { command } from './command.ts'
import { usage } from './parse.ts'
import { counted, note, say, toJson } from './print.ts'
import { loadSettings } from './session.ts'

interface Format {
  /** AsyncAPI's own schemas are of draft 7. */
  readonly draft: Draft
  readonly write: (contract: Contract) => string
}

const formats: Readonly<Record<string, Format>> = {
  json: { draft: 'draft-2020-12', write: (contract) => toJson(contract, 2) },
  typescript: { draft: 'draft-2020-12', write: typescriptOf },
  asyncapi: { draft: 'draft-07', write: (contract) => toJson(asyncapiOf(contract), 2) },
}

export const contract = command({
  usage: '[FILE…]',
  count: [0, Infinity],
  flags: {
    format: { value: 'FORMAT', meaning: `${Object.keys(formats).join(', ')}; default json` },
    out: { value: 'FILE', meaning: 'write it there instead of printing it' },
  },
  details: `What a service needs to send to actors without holding their code: names, payloads as JSON Schemas, subjects, lanes, limits. As JSON, as
TypeScript types for actorRef, or as an AsyncAPI 3 document. Nothing is asked of NATS. Without files: those of the setting "actors".

Examples:
  troupe contract actors/*.ts --format typescript --out contract.ts
  troupe contract --format asyncapi --out asyncapi.json`,
  async run({ args, flags, ...rest }) {
    const format = formatOf(flags.format ?? 'json')
    const { config, root } = await loadSettings(rest)
    const specs = (await loadActors(args.length > 0 ? args : config.actors)).map((actor) => specOf(actor))
    const schemas = await schemasOf(specs, format.draft, root)
    const application = await applicationOf(root)
    const settings = settingsOf(config, { ...application, version: config.version ?? application.version })
    const made = contractOf(specs, settings, (actor, message) => schemas.get(`${actor}.${message}`) ?? NOT_ASKED)
    await put(flags.out, format.write(made))
    if (flags.out !== undefined) note(`${flags.out}: the contract of ${counted(specs.length, 'actor')}`)
  },
})

const NOT_ASKED: SchemaText = { missing: 'the message declares no schema' }

function formatOf(name: string): Format {
  const found = Object.hasOwn(formats, name) ? formats[name] : undefined
  if (found !== undefined) return found
  const known = Object.keys(formats)
  throw usage(`expected --format to be one of ${known.join(', ')}, got: ${describe(name)}${didYouMean(name, known)}`)
}

async function schemasOf(specs: readonly ActorSpec[], draft: Draft, folder: string): Promise<Map<string, SchemaText>> {
  const asked = specs.flatMap((spec) =>
    Array.from(
      spec.messages.values(),
      async (message) => [`${spec.name}.${message.name}`, await jsonSchemaOf(message.schema, draft, folder)] as const,
    ),
  )
  return new Map(await Promise.all(asked))
}

function settingsOf(config: Config, application: Application): ContractSettings {
  const { namespace, mailbox } = config
  const { concurrency, leaseMs, dedupeWindowMs, timeLimitMs, maxMessages, maxBytes } = mailbox
  return { application, namespace, concurrency, leaseMs, dedupeWindowMs, timeLimitMs, maxMessages, maxBytes }
}

async function put(file: string | undefined, text: string): Promise<void> {
  if (file === undefined) return say(text.trimEnd())
  await writeFile(file, `${text.trimEnd()}\n`).catch((cause: unknown) => {
    throw new ConfigError(
      'UNWRITABLE_FILE',
      `expected --out to be a file that can be written, got: ${describe(file)} (${toError(cause).message})`,
      { cause },
    )
  })
}
