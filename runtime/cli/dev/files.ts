/** The files that `troupe dev` watches: those that the actors import, as they become known, and those that globs name. */
import { resolve } from 'node:path'

import { watch, type FSWatcher } from 'chokidar'
import picomatch from 'picomatch'

/** An editor writes a file in several steps, and several files at once. */
const SETTLE_MS = 40

export class WatchedFiles {
  readonly #watcher: FSWatcher
  readonly #changed = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  /** `onChange` is told which files changed, a moment after the last of them did. */
  constructor(onChange: (paths: readonly string[]) => void) {
    this.#watcher = watch([], { ignoreInitial: true, ignored: /[/\\](node_modules|\.git|\.troupe)([/\\]|$)/ })
    this.#watcher.on('all', (event, path) => {
      if (event === 'addDir' || event === 'unlinkDir' || !this.#isMeant(path)) return
      this.#changed.add(path)
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => {
        const paths = [...this.#changed]
        this.#changed.clear()
        onChange(paths)
      }, SETTLE_MS)
    })
  }

  readonly #files = new Set<string>()
  readonly #globs: ((path: string) => boolean)[] = []

  get count(): number {
    return this.#files.size
  }

  add(paths: readonly string[]): void {
    const fresh = paths.filter((path) => !this.#files.has(path))
    for (const path of fresh) this.#files.add(path)
    if (fresh.length > 0) this.#watcher.add(fresh)
  }

  /** Every file that a glob matches, now or later: `templates/**\/*.html`, from the working directory. */
  addGlob(glob: string): void {
    const { base } = picomatch.scan(glob)
    this.#globs.push(picomatch(resolve(glob), { dot: true }))
    this.#watcher.add(resolve(base === '' ? '.' : base))
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#watcher.close()
  }

  #isMeant(path: string): boolean {
    const full = resolve(path)
    return this.#files.has(full) || this.#globs.some((matches) => matches(full))
  }
}
