/**
 * Which servers a connection knows, and which of them it dials next. The client library keeps the list; this corrects it where
 * a cluster is in trouble, which is when the list matters.
 *
 * 1. It forgets a server of ours that could not be dialled at the start. Here it stays: it is in the settings.
 * 2. It forgets the servers that a cluster told it of when the cluster tells no more of them; a server that is cut off tells of
 *    none. Here they stay until the cluster tells of others in their place.
 * 3. Told to dial again, it begins with the server that it has. Here that one, by whatever name, comes last.
 */
import type { ConnectionOptions, NatsConnection, Server } from '@nats-io/transport-node'

type Pool = readonly Server[]

export class Route {
  readonly #own: readonly string[]
  /** Told by the cluster, most recently where it told of any. */
  #told = new Set<string>()
  /** The server that is left, and the addresses that lead to it. */
  #left: { readonly id: string; readonly addresses: Set<string> } | undefined
  #tries = 0

  /** `servers` are the addresses of the settings, without logins. */
  constructor(servers: readonly string[]) {
    this.#own = servers.map(addressOf)
  }

  /** The cluster told which servers it has, addresses as clients see them. */
  told(addresses: readonly string[]): void {
    if (addresses.length > 1) this.#told = new Set(addresses)
  }

  /** The list as it should be: for the library. */
  addresses(pool: Pool): string[] {
    return [...new Set([...this.#own, ...pool.map(({ listen }) => listen), ...this.#told])]
  }

  /** This server is left: all others come first. */
  leave(server: { readonly id: string; readonly address: string }): void {
    const addresses = this.#left?.id === server.id ? this.#left.addresses : new Set<string>()
    this.#left = { id: server.id, addresses: addresses.add(server.address) }
    this.#tries = 0
  }

  /** Whether we are back at the server that we left, under another name, with others still untried. */
  isBack(id: string, pool: Pool): boolean {
    return this.#left?.id === id && this.#others(pool).length > this.#tries
  }

  /** We are where we wanted to be: nothing is passed over any more. */
  arrived(): void {
    this.#left = undefined
  }

  /** The library's question before each dialling; null leaves the choice to it. */
  readonly next: NonNullable<ConnectionOptions['reconnectToServer']> = (pool) => {
    return this.#others(pool)[this.#tries++] ?? null
  }

  /** The addresses that do not lead to the server that is left. Those of dead servers stay among them. */
  #others(pool: Pool): Pool {
    const left = this.#left
    return left === undefined ? [] : pool.filter(({ listen }) => !left.addresses.has(listen))
  }
}

/** `host:port`, as the library names its servers. */
function addressOf(server: string): string {
  const { host, port } = new URL(server)
  return `${host.toLowerCase()}${port === '' ? ':4222' : ''}`
}

/** The servers that a cluster tells of now. */
export function toldBy(nc: NatsConnection): readonly string[] {
  return nc.info?.connect_urls ?? []
}
