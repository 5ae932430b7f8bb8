/** The part of the public API that the bench uses, as planned. Goes when `troupe` exports it: then import it from there. */
import type { Payload } from '../payload.ts'

export interface Message {
  readonly actor: string
}

export interface Sending {
  readonly delay?: number | string
  readonly at?: Date
  readonly id?: string
}

export interface Client {
  send(message: Message, payload: Payload, options?: Sending): Promise<unknown>
  sendMany(message: Message, payloads: readonly Payload[]): Promise<unknown>
  ask(message: Message, payload: Payload): Promise<unknown>
  close(): Promise<void>
}

export interface System {
  stop(): Promise<void>
}

export interface Planned {
  defineActor(
    name: string,
    definition: {
      readonly concurrency: number
      readonly messages: { readonly noop: (payload: Payload, context: unknown) => unknown }
    },
  ): { readonly noop: Message }
  run(options: {
    readonly actors: readonly unknown[]
    readonly nats: { readonly servers: readonly string[] }
    readonly namespace: string
    readonly signals: boolean
  }): Promise<System>
  connect(options: { readonly servers: string; readonly namespace: string }): Promise<Client>
}

const loaded: unknown = await import('troupe').catch(() => ({}))

/** Whether the built library has what the bench needs. */
export const isThere = typeof loaded === 'object' && loaded !== null && 'run' in loaded && 'connect' in loaded

export const troupe = loaded as Planned
