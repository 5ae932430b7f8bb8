/**
 * JSON Schemas of payloads, from whatever schema library an actor uses: those that speak Standard JSON Schema (`~standard.jsonSchema`: zod 4,
 * arktype 2), and valibot, whose converter is a package of its own that the project may have.
 *
 * The schema of what a sender may write (`input`), since that is what crosses the wire.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec'

import { toError } from './errors.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

/** Drafts that the libraries write. */
export type Draft = 'draft-2020-12' | 'draft-07'

/** A schema, or why there is none. */
export type SchemaText =
  | { readonly schema: JsonSchema; readonly missing?: undefined }
  | { readonly schema?: undefined; readonly missing: string }

/** What has no form in JSON (a Date, a Map, which only MessagePack carries) is then let through as "anything", instead of a schema that is missing. */
const LENIENT = { unrepresentable: 'any' } as const

/**
 * The JSON Schema of what a schema takes. Never throws: what a library can't convert is told in `missing`.
 *
 * @param folder where packages are looked for that the project may have; default: the working directory
 */
export async function jsonSchemaOf(
  schema: StandardSchemaV1 | undefined,
  draft: Draft,
  folder = process.cwd(),
): Promise<SchemaText> {
  if (schema === undefined) return { missing: 'the message declares no schema' }
  try {
    const standard = schema['~standard'] as StandardSchemaV1.Props & Partial<StandardJSONSchemaV1.Props>
    if (standard.jsonSchema !== undefined) return { schema: standardSchema(standard.jsonSchema, draft) }
    if (standard.vendor === 'valibot') return await valibotSchema(schema, draft, folder)
    return { missing: `${standard.vendor} has no Standard JSON Schema` }
  } catch (error) {
    return { missing: toError(error).message }
  }
}

function standardSchema({ input }: StandardJSONSchemaV1.Converter, target: Draft): JsonSchema {
  try {
    return input({ target })
  } catch (error) {
    // Options that a library does not know are ignored by it; then it says the same again.
    const lenient = input({ target, libraryOptions: LENIENT })
    if (lenient === undefined) throw error
    return lenient
  }
}

const VALIBOT = '@valibot/to-json-schema'

interface ValibotConverter {
  toJsonSchema(schema: unknown, options: Readonly<Record<string, string>>): JsonSchema
}

async function valibotSchema(schema: unknown, target: Draft, folder: string): Promise<SchemaText> {
  const converter = await valibotConverter(folder)
  if (converter === undefined) return { missing: `valibot needs the package ${VALIBOT} for it, which is not installed` }
  return { schema: converter.toJsonSchema(schema, { typeMode: 'input', target, errorMode: 'ignore' }) }
}

/** From the project, which has valibot too; Troupe itself does not depend on it. */
async function valibotConverter(folder: string): Promise<ValibotConverter | undefined> {
  let path: string
  try {
    path = createRequire(join(folder, 'package.json')).resolve(VALIBOT)
  } catch {
    return undefined
  }
  const found = (await import(pathToFileURL(path).href)) as ValibotConverter & { default?: ValibotConverter }
  return found.toJsonSchema === undefined ? found.default : found
}
