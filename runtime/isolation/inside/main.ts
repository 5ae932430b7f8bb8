/**
 * What runs in a thread or child process of an isolated actor: loads the actor's module, says so, runs its handlers, ends when told.
 *
 * It does not outlive its system: a thread can't; a process ends when the line breaks, and where a handler blocks its event
 * loop so that it does not hear of that, orphans.ts ends it.
 */
import { fileURLToPath } from 'node:url'
import { getHeapStatistics } from 'node:v8'
import { isMainThread } from 'node:worker_threads'

import { importFile } from '../../../config/index.ts'
import { isActor, specOf, type ActorSpec } from '../../actor.ts'
import { Connection } from '../../broker/connection.ts'
import { ActorError, toError } from '../../errors.ts'
import { createRelay } from '../../log.ts'
import { Place } from '../../place.ts'
import { actorsIn, isChild, isSupervisor } from '../../supervision/definition.ts'
import { toErrorData } from '../errorData.ts'
import type { FromMember, MemberStart, ToMember } from '../protocol.ts'
import { forbidSystems } from './forbidden.ts'
import { openLine, type Line } from './line.ts'
import { Runner } from './runner.ts'

let runner: Runner | undefined
let connection: Connection | undefined
let place: Place | undefined

forbidSystems()
const line = await openLine(hear)
process.on('uncaughtException', (error) => line.leave(1, lastWord(error)))
process.on('unhandledRejection', (reason) => runner?.leaked(reason))
try {
  await open(line)
  line.send({ kind: 'ready' })
} catch (error) {
  line.leave(1, { kind: 'unready', error: toErrorData(error) })
}

async function open({ start, send }: Pick<Line, 'start' | 'send'>): Promise<void> {
  const { nats, worker, given, tellsMemory } = start
  const spec = await findActor(start)
  connection = nats === undefined ? undefined : await Connection.open(nats)
  const log = createRelay((record) => send({ kind: 'log', record }))
  place = new Place(spec, { worker, log, given })
  await place.open(new AbortController().signal)
  const surroundings = { log, place, connection: connection?.raw, heldBytes: tellsMemory ? heldBytes : undefined }
  runner = new Runner(line, spec, surroundings)
}

function hear(message: ToMember): void {
  if (message.kind === 'end') void end()
  else runner?.hear(message)
}

function lastWord(error: unknown): FromMember {
  return runner === undefined ? { kind: 'unready', error: toErrorData(error) } : runner.lastWord(error)
}

/** Nothing runs any more: what is open is closed first. */
async function end(): Promise<void> {
  await place?.close()
  await connection?.close().catch(() => {})
  line.leave(0)
}

/** Among what the module exports: the actor itself, or a supervisor that has it. */
async function findActor({ actor, module }: MemberStart): Promise<ActorSpec> {
  const exported = await load(actor, module)
  const children = Object.values(exported).filter((value) => isActor(value) || isSupervisor(value) || isChild(value))
  const found = children
    .flatMap(actorsIn)
    .map(specOf)
    .find(({ name }) => name === actor)
  if (found !== undefined) return found
  const names = Object.keys(exported)
  const text = `expected ${module} to export actor ${actor}, since its handlers run in a ${isMainThread ? 'process' : 'thread'} that loads it, but it exports ${names.length === 0 ? 'nothing' : names.join(', ')}. Export it, or name the module that does: defineActor('${actor}', { module: import.meta.url, … }).`
  throw new ActorError('NO_ACTOR', text, { data: { actor, module, names } })
}

async function load(actor: string, module: string): Promise<Record<string, unknown>> {
  try {
    return await importFile(fileURLToPath(module))
  } catch (thrown) {
    const error = toError(thrown)
    const text = `${module}, the module of actor ${actor}, could not be loaded: ${error.name}: ${error.message}`
    throw new ActorError('IMPORT_FAILED', text, { cause: error, data: { actor, module } })
  }
}

/** All of a process; of a thread its heap, and what that holds outside of it (buffers). */
function heldBytes(): number {
  if (isMainThread) return process.memoryUsage.rss()
  const { used_heap_size: heap, external_memory: outside } = getHeapStatistics()
  return heap + outside
}
