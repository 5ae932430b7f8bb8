/** `troupe server`. */
import { startEmbeddedServer } from '../../config/index.ts'
import { command } from './command.ts'
import { fields, note, say, sayJson } from './print.ts'
import { loadSettings } from './session.ts'

export const server = command({
  usage: '',
  count: [0, 0],
  flags: {},
  details: `Other commands of the project find it by themselves, and so do your own programs that give no servers. It ends when the
last of them has ended; its data stays. Settings: --server-port, --server-dir, --server-binary.`,
  async run({ isJson, ...invocation }) {
    const { config, root } = await loadSettings(invocation)
    await using own = await startEmbeddedServer({ cwd: root, config })
    const { url, dir, pid, version, shared } = own
    const asked = stopAsked()
    if (isJson) sayJson({ url, dir, pid, version, shared })
    else
      say(
        `nats-server ${version} is ${shared ? 'shared with others that run' : 'running'}\n${fields(
          [
            ['url', url],
            ['data', dir],
            ['stop', 'Ctrl-C'],
          ],
          '  ',
        )}`,
      )
    if (config.nats.servers.length > 0)
      note('troupe: warning: nats.servers is set, so the other commands use those servers and not this one')
    await asked
  },
})

/** Resolves at the first SIGINT or SIGTERM; waiting for it keeps the process. */
function stopAsked(): Promise<void> {
  const keep = setInterval(() => {}, 2 ** 30)
  return new Promise((resolve) => {
    const stop = (): void => {
      clearInterval(keep)
      resolve()
    }
    process.once('SIGINT', stop).once('SIGTERM', stop)
  })
}
