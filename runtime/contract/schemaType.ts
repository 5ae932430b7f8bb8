/**
 * A JSON Schema as a TypeScript type, in text. What schema libraries write is covered: objects, arrays, tuples, unions, intersections, literals,
 * references into the schema itself. What a type can't say (patterns, bounds) is left out; what is not understood is `unknown`,
 * so that the type never refuses what the schema takes.
 *
 * json-schema-to-typescript would do it too, with a formatter and a file resolver as dependencies of every installation.
 */
import type { JsonSchema } from '../jsonSchema.ts'

/** What a reference such as `#/$defs/Address` is called in the text. */
export type NameOf = (pointer: string) => string | undefined

type Schema = JsonSchema | boolean | undefined

export function schemaType(schema: Schema, nameOf: NameOf): string {
  if (typeof schema !== 'object' || schema === null) return schema === false ? 'never' : 'unknown'
  if (typeof schema['$ref'] === 'string') return nameOf(schema['$ref']) ?? 'unknown'
  if ('const' in schema) return JSON.stringify(schema['const'])
  if (Array.isArray(schema['enum'])) return union(schema['enum'].map((value) => JSON.stringify(value)))
  const parts = [...ownTypes(schema, nameOf), ...combined(schema, nameOf)].filter((part) => part !== 'unknown')
  return parts.length === 0 ? 'unknown' : [...new Set(parts)].map((part) => grouped(part, parts.length)).join(' & ')
}

/** The types that the schema names itself, as one union; none where it only combines others. */
function ownTypes(schema: JsonSchema, nameOf: NameOf): string[] {
  const named = schema['type']
  const types = typeof named === 'string' ? [named] : Array.isArray(named) ? named.map(String) : implied(schema)
  return types.length === 0 ? [] : [union(types.map((type) => oneType(type, schema, nameOf)))]
}

function implied(schema: JsonSchema): string[] {
  if ('properties' in schema) return ['object']
  return 'prefixItems' in schema ? ['array'] : []
}

function combined(schema: JsonSchema, nameOf: NameOf): string[] {
  const each = (key: string): string[] =>
    Array.isArray(schema[key]) ? (schema[key] as Schema[]).map((one) => schemaType(one, nameOf)) : []
  const either = [each('anyOf'), each('oneOf')].filter((some) => some.length > 0).map((some) => union(some))
  return [...either, ...each('allOf')]
}

function oneType(type: string, schema: JsonSchema, nameOf: NameOf): string {
  switch (type) {
    case 'string':
    case 'boolean':
    case 'null':
      return type
    case 'number':
    case 'integer':
      return 'number'
    case 'array':
      return arrayType(schema, nameOf)
    case 'object':
      return objectType(schema, nameOf)
    default:
      return 'unknown'
  }
}

/** Draft 2020-12 has `prefixItems` and then `items`; draft 7 has a list in `items` and then `additionalItems`. */
function arrayType(schema: JsonSchema, nameOf: NameOf): string {
  const { items, prefixItems, additionalItems, minItems } = schema
  const isOld = Array.isArray(items)
  const first = (isOld ? items : prefixItems) as readonly Schema[] | undefined
  const rest = (isOld ? additionalItems : items) as Schema
  if (first === undefined) return `${grouped(schemaType(rest, nameOf), 2)}[]`
  const least = typeof minItems === 'number' ? minItems : first.length
  const entries = first.map((one, index) => `${grouped(schemaType(one, nameOf), 2)}${index < least ? '' : '?'}`)
  if (rest !== false) entries.push(`...${grouped(schemaType(rest, nameOf), 2)}[]`)
  return `[${entries.join(', ')}]`
}

function objectType(schema: JsonSchema, nameOf: NameOf): string {
  const properties = Object.entries((schema['properties'] ?? {}) as Record<string, Schema>)
  const required = new Set(Array.isArray(schema['required']) ? (schema['required'] as unknown[]) : [])
  const fields = properties.map(
    ([name, one]) => `${comment(one)}${key(name)}${required.has(name) ? '' : '?'}: ${schemaType(one, nameOf)}`,
  )
  const others = othersType(schema, properties.length, nameOf)
  if (others !== undefined) fields.push(`[key: string]: ${others}`)
  return fields.length === 0 ? 'Record<string, unknown>' : `{ ${fields.join('; ')} }`
}

/** Beside named properties an index signature has to fit them all. */
function othersType(schema: JsonSchema, named: number, nameOf: NameOf): string | undefined {
  const { additionalProperties, patternProperties } = schema
  const isOpen = typeof additionalProperties === 'object' || additionalProperties === true
  if (!isOpen && patternProperties === undefined) return undefined
  return named > 0 || !isOpen ? 'unknown' : schemaType(additionalProperties as Schema, nameOf)
}

function comment(schema: Schema): string {
  const text = typeof schema === 'object' ? schema?.['description'] : undefined
  return typeof text === 'string' ? `/** ${oneLine(text)} */ ` : ''
}

/** Text that can't end the comment it stands in. */
export function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll('*/', '*\\/').trim()
}

/** A property's name, quoted where TypeScript asks for it. */
export function key(name: string): string {
  return /^[a-zA-Z_$][\w$]*$/.test(name) ? name : JSON.stringify(name)
}

function union(types: readonly string[]): string {
  const distinct = [...new Set(types)]
  if (distinct.includes('unknown')) return 'unknown'
  return distinct.length === 0 ? 'never' : distinct.join(' | ')
}

/** In brackets where it stands beside others and is more than one word. */
function grouped(type: string, beside: number): string {
  return beside > 1 && /[|&]/.test(type) ? `(${type})` : type
}
