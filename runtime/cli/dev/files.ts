/** The files that `troupe dev` watches: those that the actors import, as they become known, and those that globs name. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

import { watch, type FSWatcher } from 'chokidar'
import picomatch from 'picomatch'

/** An editor writes a file in several steps, and several files at once. */
const SETTLE_MS = 40
/** The watch on a new path takes a moment to begin. */
const LOOKS_MS = [0, 200, 1_000]

export class WatchedFiles {
  readonly #watcher: FSWatcher
  readonly #onChange: (paths: readonly string[]) => void
  readonly #changed = new Set<string>()
  /** Files that were missing and are there by now. */
  readonly #come = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  /** `onChange` is told which files changed, a moment after the last of them did. */
  constructor(onChange: (paths: readonly string[]) => void) {
    this.#watcher = watch([], { ignoreInitial: true, ignored: /[/\\](node_modules|\.git|\.troupe)([/\\]|$)/ })
    this.#watcher.on('all', (event, path) => {
      if (event !== 'addDir' && event !== 'unlinkDir' && this.#isMeant(path)) this.#change(path)
    })
    this.#onChange = onChange
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

  /** Files that were missing: one may have come before the watch on it began. */
  await(paths: readonly string[]): void {
    this.add(paths)
    for (const path of paths) this.#come.delete(path)
    for (const path of paths) for (const ms of LOOKS_MS) setTimeout(() => this.#lookFor(path), ms).unref()
  }

  #lookFor(path: string): void {
    if (!existsSync(path) || this.#come.has(path)) return
    this.#come.add(path)
    this.#change(path)
  }

  #change(path: string): void {
    this.#changed.add(path)
    this.#come.add(path)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      const paths = [...this.#changed]
      this.#changed.clear()
      this.#onChange(paths)
    }, SETTLE_MS)
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
