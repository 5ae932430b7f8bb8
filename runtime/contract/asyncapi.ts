/**
 * A contract as an AsyncAPI 3 document, for everyone who writes no TypeScript.
 *
 * The application that it describes is the one that runs the actors: it *receives* messages and calls, and *sends* outcomes, dead letters and
 * events. Payloads stand once, in `components.schemas`; references inside of them are turned to where they now stand.
 */
import type { JsonSchema } from '../jsonSchema.ts'
import { ref, SHARED_MESSAGES, SHARED_SCHEMAS, type Entries } from './asyncapiShared.ts'
import type { ActorContract, Contract, MessageContract } from './contract.ts'

export function asyncapiOf(contract: Contract): JsonSchema {
  const { application, actors, namespace } = contract
  return {
    asyncapi: '3.0.0',
    info: {
      title: `Actors of ${application.name}`,
      version: application.version,
      description: `Messages on NATS JetStream by Troupe's protocol (PROTOCOL.md of the package), namespace ${namespace}.`,
    },
    defaultContentType: 'application/json',
    channels: merged([
      ...actors.flatMap((actor) => [
        ...actor.messages.map((message) => messageChannels(actor, message)),
        actorChannels(actor),
      ]),
      { outcome: outcomeChannel() },
    ]),
    operations: merged(
      actors.flatMap((actor) => [
        ...actor.messages.map((message) => messageOperations(actor, message)),
        actorOperations(actor),
      ]),
    ),
    components: {
      messages: merged([
        ...actors.flatMap((actor) => actor.messages.map((message) => messageObjects(actor, message))),
        SHARED_MESSAGES,
      ]),
      schemas: merged([
        ...actors.flatMap((actor) => actor.messages.map((message) => payloadSchemas(actor, message))),
        SHARED_SCHEMAS,
      ]),
    },
  }
}

function merged(parts: readonly Entries[]): Entries {
  return Object.assign({}, ...parts) as Entries
}

const nats = { nats: { bindingVersion: '0.1.0' } }

/** A message's mailbox, by lane, and the other ways to the same handler. */
function messageChannels(actor: ActorContract, { name, description, subjects }: MessageContract): Entries {
  const id = `${actor.name}.${name}`
  const ways = waysOf(actor)
  return Object.fromEntries(
    ways.map(({ kind, channel, title }) => [
      `${id}${channel}`,
      {
        address: subjects[kind],
        title: `${id}${title}`,
        ...(description === undefined ? {} : { description }),
        messages: { [id]: ref(`#/components/messages/${id}${kind === 'later' ? '.later' : ''}`) },
      },
    ]),
  )
}

type Way = { readonly kind: keyof MessageContract['subjects']; readonly channel: string; readonly title: string }

function waysOf({ lanes }: ActorContract): Way[] {
  return [
    ...lanes.map((lane): Way => ({
      kind: lane,
      channel: lane === 'normal' ? '' : `.${lane}`,
      title: lane === 'normal' ? '' : `, ${lane} lane`,
    })),
    { kind: 'later', channel: '.later', title: ', later' },
    { kind: 'call', channel: '.call', title: ', live' },
    { kind: 'broadcast', channel: '.broadcast', title: ', to every live worker' },
  ]
}

/** No message's name begins with `_`: one may be called `cancel`. */
function actorChannels({ name, subjects }: ActorContract): Entries {
  const token = (description: string): JsonSchema => ({ description })
  const message = token('Name of the message')
  const id = token("The message's id, percent-encoded")
  return {
    [`${name}._cancel`]: { address: subjects.cancel, messages: { cancel: ref('#/components/messages/cancel') } },
    [`${name}._dead`]: {
      address: subjects.dead,
      parameters: { message, id },
      messages: { deadLetter: ref('#/components/messages/deadLetter') },
    },
    [`${name}._events`]: {
      address: subjects.event,
      parameters: { message, event: token('Name of the event: retry, dead, progress, …') },
      messages: { event: ref('#/components/messages/event') },
    },
    [`${name}._results`]: {
      address: subjects.result,
      parameters: { sender: token("The sender's name, percent-encoded"), id },
      messages: { outcome: ref('#/components/messages/outcome') },
    },
  }
}

/** Its address is the sender's own, in a header of each message. */
function outcomeChannel(): JsonSchema {
  return {
    address: null,
    title: 'Outcomes',
    messages: { outcome: ref('#/components/messages/outcome'), answer: ref('#/components/messages/answer') },
  }
}

function messageOperations(actor: ActorContract, { name, description }: MessageContract): Entries {
  const id = `${actor.name}.${name}`
  const receive = (channel: string, summary: string): JsonSchema => ({
    action: 'receive',
    channel: ref(`#/channels/${channel}`),
    summary,
    bindings: nats,
    messages: [ref(`#/channels/${channel}/messages/${id}`)],
  })
  const outcome = {
    address: { location: '$message.header#/Troupe-Reply', description: 'Absent: nobody waits' },
    channel: ref('#/channels/outcome'),
    messages: [ref('#/channels/outcome/messages/outcome')],
  }
  const answer = { channel: ref('#/channels/outcome'), messages: [ref('#/channels/outcome/messages/answer')] }
  const summaries: Partial<Record<Way['kind'], string>> = {
    later: `Runs ${id} at the time in Troupe-Due, or after Troupe-Delay`,
    call: `Answers ${id} at once, by a live worker; nothing is stored`,
    broadcast: `Runs ${id} in every live worker; nothing is stored`,
  }
  const replies: Partial<Record<Way['kind'], JsonSchema>> = { call: { reply: answer }, broadcast: {} }
  return Object.fromEntries(
    waysOf(actor).map(({ kind, channel }) => [
      `${id}${channel}`,
      {
        ...receive(`${id}${channel}`, summaries[kind] ?? description ?? `Runs ${id}`),
        ...(replies[kind] ?? { reply: outcome }),
      },
    ]),
  )
}

function actorOperations({ name }: ActorContract): Entries {
  const operation = (action: string, kind: string, summary: string, extra: JsonSchema = {}): Entries => ({
    [`${name}._${kind}`]: { action, channel: ref(`#/channels/${name}._${kind}`), summary, bindings: nats, ...extra },
  })
  return merged([
    operation('receive', 'cancel', `Cancels messages of ${name} by id or filter`),
    operation('send', 'dead', `Dead letters of ${name}`),
    operation('send', 'events', `What happens to messages of ${name}`),
    operation('send', 'results', `Kept results of ${name}`),
  ])
}

function messageObjects(actor: ActorContract, { name, description, payload }: MessageContract): Entries {
  const id = `${actor.name}.${name}`
  const message = {
    name: id,
    ...(description === undefined ? {} : { summary: description }),
    ...(payload === undefined ? {} : { payload: ref(`#/components/schemas/${id}`) }),
  }
  return {
    [id]: { ...message, headers: ref('#/components/schemas/senderHeaders') },
    [`${id}.later`]: { ...message, headers: ref('#/components/schemas/laterHeaders') },
  }
}

function payloadSchemas(actor: ActorContract, { name, payload }: MessageContract): Entries {
  if (payload === undefined) return {}
  const id = `${actor.name}.${name}`
  const { $schema: _, ...schema } = payload
  return { [id]: turned(schema, `#/components/schemas/${id}`) as JsonSchema }
}

/** References into the schema itself (`#`, `#/definitions/x`), where it is no longer the root of its document. */
function turned(value: unknown, root: string): unknown {
  if (Array.isArray(value)) return value.map((one) => turned(one, root))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      key,
      key === '$ref' && typeof one === 'string' && one.startsWith('#') ? `${root}${one.slice(1)}` : turned(one, root),
    ]),
  )
}
