/** A private nats-server for one measure: loopback, a port of its own choice, file storage in a folder that goes with it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Server extends AsyncDisposable {
  readonly url: string
}

export async function startServer(): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'troupe-bench-'))
  const file = join(folder, 'server.conf')
  await writeFile(file, configuration(folder))
  const server = spawn(process.env['TROUPE_TEST_SERVER_BINARY'] ?? 'nats-server', ['-c', file], { stdio: 'ignore' })
  const exited = once(server, 'exit')
  return {
    url: await Promise.race([address(join(folder, `nats-server_${server.pid}.ports`)), refused(exited)]),
    async [Symbol.asyncDispose]() {
      server.kill('SIGKILL')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function configuration(folder: string): string {
  const jetstream = `jetstream { store_dir: ${JSON.stringify(folder)}, sync_interval: 1s }`
  return `listen: "127.0.0.1:-1"\nports_file_dir: ${JSON.stringify(folder)}\n${jetstream}\n`
}

async function address(portsFile: string): Promise<string> {
  for (;;) {
    const text = await readFile(portsFile, 'utf8').catch(() => '')
    const [url] = text === '' ? [] : ((JSON.parse(text) as { nats?: string[] }).nats ?? [])
    if (url !== undefined) return url
    // The server writes the file when it listens; there is nothing to subscribe to before.
    await sleep(5)
  }
}

async function refused(exited: Promise<unknown>): Promise<never> {
  await exited
  throw new Error('expected nats-server to start, it ended: set TROUPE_TEST_SERVER_BINARY to its path')
}
