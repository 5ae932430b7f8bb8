/**
 * Three nats-servers in one JetStream cluster, each a real process with its own data. With `links`, every route between two of
 * them passes through one that can be cut: so a server is cut off while its clients still reach it. Every server then dials
 * every other through its own link and advertises an address where nobody listens: no route goes past a link.
 */
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'

import { startLinks, type LinkState } from './links.ts'
import { freePort, startServer, type TestServer } from './server.ts'

export interface Member {
  readonly name: string
  readonly url: string
  readonly server: TestServer
  /** Its routes to and from all others: cut, silent, open. Clients still reach it. */
  routes(state: LinkState): Promise<void>
}

export interface Cluster extends AsyncDisposable {
  readonly urls: readonly string[]
  readonly members: readonly Member[]
  /** The member that leads a stream now, asked of the others than `besides`. Throws where there is none. */
  leaderOf(stream: string, besides?: Member): Promise<Member>
  /** Resolves when every stream and consumer has a leader and all its copies are current: the next fault meets a whole cluster. */
  whole(): Promise<void>
  /** A client that asks JetStream through the first member that answers, with `credentials` where the servers ask for them. */
  manager(besides?: Member): Promise<Manager>
}

export interface Manager extends AsyncDisposable {
  readonly jsm: JetStreamManager
}

export interface ClusterOptions {
  /** Whether routes can be cut. */
  readonly links?: boolean
  /** More text of each server's configuration: accounts. */
  readonly conf?: string
  /** Who may look at everything, where the configuration asks for a login. */
  readonly login?: { readonly user: string; readonly pass: string }
}

const SIZE = 3
/** Elections take 4 to 9 seconds (nats-server, raft.go), and an overloaded machine takes longer. */
const PATIENCE_MS = 60_000

export async function startCluster({
  links: isLinked = false,
  conf = '',
  login,
}: ClusterOptions = {}): Promise<Cluster> {
  const routePorts = await Promise.all(Array.from({ length: SIZE }, freePort))
  const pairs = routePorts.flatMap((_, from) => routePorts.flatMap((_port, to) => (from === to ? [] : [{ from, to }])))
  const links = isLinked ? await startLinks(pairs.map(({ to }) => routePorts[to] ?? 0)) : undefined
  const routesOf = (own: number): number[] =>
    pairs.flatMap(({ from, to }, index) => (from === own ? [links?.ports[index] ?? routePorts[to] ?? 0] : []))
  const servers = await Promise.all(
    routePorts.map((port, own) => startServer({ conf: `${clusterText(port, routesOf(own), isLinked)}\n${conf}` })),
  )
  const members = servers.map((server, own): Member => {
    const around = pairs.flatMap(({ from, to }, index) => (from === own || to === own ? [index] : []))
    const routes = async (state: LinkState): Promise<void> => {
      if (links === undefined) throw new Error('this cluster was started without links')
      await Promise.all(around.map((link) => links.set(link, state)))
    }
    return { name: server.name, url: server.url, server, routes }
  })

  async function manager(besides?: Member): Promise<Manager> {
    const urls = members.filter((member) => member !== besides).map(({ url }) => url)
    const nc = await connect({ servers: urls, ...login, maxReconnectAttempts: -1, reconnectTimeWait: 100 })
    return { jsm: await jetstreamManager(nc, { checkAPI: false }), [Symbol.asyncDispose]: () => nc.close() }
  }
  async function asking<T>(ask: (jsm: JetStreamManager) => Promise<T>, besides?: Member): Promise<T> {
    await using asked = await manager(besides)
    return await ask(asked.jsm)
  }
  const cluster: Cluster = {
    urls: members.map(({ url }) => url),
    members,
    manager,
    leaderOf: (stream, besides) =>
      asking(async (jsm) => {
        const leader = (await jsm.streams.info(stream)).cluster?.leader
        const member = members.find(({ name }) => name === leader)
        if (member === undefined) throw new Error(`expected stream ${stream} to have a leader, got: ${leader}`)
        return member
      }, besides),
    whole: () => asking((jsm) => again('a whole cluster', () => checkWhole(jsm))),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(members.map(({ server }) => server.stop()))
      await links?.[Symbol.asyncDispose]()
    },
  }
  try {
    await cluster.whole()
    return cluster
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
}

function clusterText(port: number, routes: readonly number[], isLinked: boolean): string {
  const urls = routes.map((route) => `"nats-route://127.0.0.1:${route}"`).join(', ')
  // Port 1 is nobody's: gossip between servers must not open a way past the links.
  const own = isLinked ? ', advertise: "127.0.0.1:1", pool_size: -1' : ''
  return `cluster { name: troupe, listen: "127.0.0.1:${port}", routes: [${urls}]${own} }`
}

/** Throws unless all servers are there and all streams and consumers have a leader and current copies. */
async function checkWhole(jsm: JetStreamManager): Promise<void> {
  // Any answer to this needs a leader of the cluster itself.
  await jsm.getAccountInfo()
  for await (const stream of jsm.streams.list()) {
    checkCopies(stream.config.name, stream.cluster, stream.config.num_replicas)
    for await (const { name, cluster, config } of jsm.consumers.list(stream.config.name))
      checkCopies(name, cluster, config.num_replicas || stream.config.num_replicas)
  }
}

function checkCopies(
  name: string,
  cluster: { leader?: string; replicas?: { current: boolean }[] } | undefined,
  copies: number,
): void {
  const others = cluster?.replicas ?? []
  const isWhole = cluster?.leader !== undefined && cluster.leader !== '' && others.length >= copies - 1
  if (!isWhole || others.some(({ current }) => !current))
    throw new Error(`${name} is not whole: ${JSON.stringify(cluster)}`)
}

async function again(what: string, check: () => Promise<void>): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return await check()
    } catch (cause) {
      if (performance.now() > end) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`, { cause })
      // Nothing tells when an election is over: it can only be asked for.
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}
