/** `troupe dev`. */
import { relative, resolve } from 'node:path'

import { startEmbeddedServer, type Loaded } from '../../../config/index.ts'
import { command, type Invocation } from '../command.ts'
import { note } from '../print.ts'
import { loadSettings } from '../session.ts'
import { WatchedFiles } from './files.ts'
import { readKeys } from './keys.ts'
import { Restarter } from './restarter.ts'

/** What a process gets to finish what it runs, where nobody says otherwise: a change should be seen at once. */
const WITHIN_MS = 300

export const dev = command({
  usage: '[FILE…]',
  count: [0, Infinity],
  flags: {
    watch: { value: 'GLOB', isList: true, meaning: "also restart when these files change: 'templates/**/*.html'" },
    concurrency: {
      value: 'NUMBER',
      setting: 'mailbox-concurrency',
      meaning: 'messages that a worker runs at once, unless its actor says otherwise; short for --mailbox-concurrency',
    },
  },
  details: `Runs actors like "troupe start", and starts them again when a file changes that they import, or troupe.config. What runs has ${WITHIN_MS} ms to end
(--shutdown-within), the rest goes back to its mailbox and is not counted. The project's own server goes on, with its data.
A file that can't be run is told; the next change starts it. Keys: r restarts, q and Ctrl-C end.

Examples:
  troupe dev actors/mailer.ts
  troupe dev --watch 'templates/**/*.html'`,
  async run({ args, flags, ...invocation }) {
    const loaded = await loadSettings(invocation)
    // Held here too: it must outlive each process that is replaced.
    const { config, root } = loaded
    const own = config.nats.servers.length === 0 ? await startEmbeddedServer({ cwd: root, config }) : undefined
    try {
      await watchAndRun(startLine(args, invocation, loaded), flags.watch, loaded, withinOf(loaded))
    } finally {
      await own?.release()
    }
  },
})

async function watchAndRun(
  line: readonly string[],
  globs: readonly string[],
  { file }: Loaded,
  withinMs: number,
): Promise<void> {
  const files = new WatchedFiles((paths) => {
    note(`troupe: ${shown(paths)} changed: restarting`)
    restarter.restart()
  })
  const restarter: Restarter = new Restarter({
    args: line,
    withinMs,
    onFiles: (paths) => files.add(paths),
    onMissing: (paths) => files.await(paths),
    onReady: (ms) => note(`troupe: ready in ${Math.round(ms)} ms, watching ${files.count} files; r restarts, q ends`),
    onBroken: (how) => note(`troupe: it ended by itself (${howText(how)}); waiting for a change`),
  })
  if (file !== undefined) files.add([file])
  for (const glob of globs) files.addGlob(glob)
  restarter.restart()
  await untilAskedToEnd(() => {
    note('troupe: restarting')
    restarter.restart()
  }, restarter)
  await Promise.all([restarter.stop(), files.close()])
}

/** Resolves at q, Ctrl-C or SIGTERM; a second one kills. */
function untilAskedToEnd(restart: () => void, restarter: Restarter): Promise<void> {
  // Waiting keeps the process, also without a terminal.
  const keep = setInterval(() => {}, 2 ** 30)
  return new Promise((done) => {
    let isAsked = false
    const end = (): void => {
      if (isAsked) return restarter.kill()
      isAsked = true
      clearInterval(keep)
      stopKeys()
      done()
    }
    const stopKeys = readKeys({ r: restart, q: end })
    process.on('SIGINT', end).on('SIGTERM', end)
  })
}

/** The command line of the processes: what this one was given, and less time to drain. */
function startLine(
  args: readonly string[],
  { settings, configFile, isJson }: Pick<Invocation, 'settings' | 'configFile' | 'isJson'>,
  loaded: Loaded,
): string[] {
  const flags = Object.entries(settings).map(([name, value]) => `--${name}=${String(value)}`)
  const within = isDefault(loaded) ? [`--shutdown-within=${WITHIN_MS}ms`] : []
  const config = configFile === undefined ? [] : [`--config=${configFile}`]
  return ['start', ...args, ...flags, ...within, ...config, ...(isJson ? ['--json'] : [])]
}

function isDefault({ sources }: Loaded): boolean {
  return sources['shutdown.within'] === 'default'
}

function withinOf(loaded: Loaded): number {
  return isDefault(loaded) ? WITHIN_MS : loaded.config.shutdown.withinMs
}

function howText(how: number | NodeJS.Signals): string {
  return typeof how === 'number' ? `exit code ${how}` : how
}

function shown(paths: readonly string[]): string {
  const names = paths.slice(0, 3).map((path) => relative(process.cwd(), resolve(path)))
  return paths.length > 3 ? `${names.join(', ')} and ${paths.length - 3} more` : names.join(', ')
}
