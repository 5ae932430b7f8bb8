/** A user's project in a folder of its own, with `troupe` run there as a real process, the way a shell would. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { main as commandLine } from '#runtime/cli/commandLine.js'

export interface Ended {
  /** Exit code; the signal's name where it was killed. */
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

/** A `troupe` that runs. */
export interface Running {
  /** Resolves when stdout and stderr have the text, so many times; rejects with all output where it ends before. */
  says(text: string, times?: number): Promise<void>
  /** All that it has printed so far. */
  output(): string
  /** Types into its stdin. */
  type(text: string): void
  signal(name: NodeJS.Signals): void
  readonly ended: Promise<Ended>
}

export interface Project extends AsyncDisposable {
  readonly dir: string
  write(name: string, text: string): Promise<void>
  /** Runs a command to its end. */
  troupe(...args: string[]): Promise<Ended>
  /** The same with `text` as stdin. */
  piped(text: string, ...args: string[]): Promise<Ended>
  /** Starts one in a terminal of its own, by util-linux's `script`. */
  terminal(line: string): Running
  /** Starts one that goes on. Its stdin stays open. */
  background(...args: string[]): Running
}

export interface ProjectOptions {
  /** Files by their path in the project. */
  readonly files?: Readonly<Record<string, string>>
  /** `TROUPE_…` variables; those of the machine are left out. */
  readonly env?: Readonly<Record<string, string>>
}

const main = join(process.cwd(), 'dist/runtime/cli/main.js')

/** Makes a project that has Troupe as a dependency. At its end all that runs is killed and the folder is removed. */
export async function makeProject({ files = {}, env = {} }: ProjectOptions = {}): Promise<Project> {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-cli-'))
  const children = new Set<ChildProcess>()
  const write = async (name: string, text: string): Promise<void> => {
    await mkdir(dirname(join(dir, name)), { recursive: true })
    await writeFile(join(dir, name), text)
  }
  await write('package.json', '{"type":"module"}')
  await mkdir(join(dir, 'node_modules'))
  await symlink(process.cwd(), join(dir, 'node_modules', 'troupe'))
  for (const [name, text] of Object.entries(files)) await write(name, text)

  const background = (...args: string[]): Running => {
    const child = spawn(process.execPath, [main, ...args], { cwd: dir, env: { ...cleanEnv(), ...env }, stdio: 'pipe' })
    return follow(child, children)
  }
  const piped = (text: string, ...args: string[]): Promise<Ended> => {
    const child = spawn(process.execPath, [main, ...args], { cwd: dir, env: { ...cleanEnv(), ...env }, stdio: 'pipe' })
    child.stdin.end(text)
    return follow(child, children).ended
  }
  return {
    dir,
    write,
    troupe: (...args) => piped('', ...args),
    piped,
    background,
    terminal(line) {
      const command = `stty cols 120 rows 40; ${process.execPath} ${main} ${line}`
      const options = { cwd: dir, env: { ...cleanEnv(), ...env, TERM: 'xterm' }, stdio: 'pipe' } as const
      return follow(spawn('script', ['-qefc', command, '/dev/null'], options), children)
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(Array.from(children, kill))
      await serverEnd(dir)
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function cleanEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TROUPE_')))
}

function follow(child: ChildProcess, children: Set<ChildProcess>): Running {
  children.add(child)
  const output = { stdout: '', stderr: '' }
  const waiting = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
      for (const check of waiting) check()
    })
  }
  const ended = once(child, 'close').then(([code, signal]): Ended => {
    children.delete(child)
    return { code: (code ?? signal) as number | string, ...output }
  })
  const all = (): string => output.stdout + output.stderr
  const says = (text: string, times = 1): Promise<void> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        if (all().split(text).length <= times) return
        waiting.delete(check)
        resolve()
      }
      waiting.add(check)
      check()
      void ended.then((end) => reject(new Error(`expected it to say ${text}, got: ${JSON.stringify(end)}`)))
    })
  const type = (text: string): void => void child.stdin?.write(text)
  return { says, output: all, type, ended, signal: (name) => void child.kill(name) }
}

async function kill(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close')
  child.kill('SIGKILL')
  await closed
}

/** The project's own server ends a second after the last of its users. */
async function serverEnd(dir: string): Promise<void> {
  while (existsSync(join(dir, '.troupe', 'server.json'))) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** Runs a command in this process: for many in a row. One at a time, since it catches what is printed. */
export async function troupeHere(...argv: string[]): Promise<Ended> {
  const output = { stdout: '', stderr: '' }
  const writes = [catching('stdout', output), catching('stderr', output)]
  try {
    return { code: await commandLine(argv), ...output }
  } finally {
    for (const restore of writes) restore()
  }
}

function catching(name: 'stdout' | 'stderr', output: Record<typeof name, string>): () => void {
  const stream = process[name]
  const write = stream.write.bind(stream)
  stream.write = (text: string | Uint8Array): boolean => {
    output[name] += String(text)
    return true
  }
  return () => void (stream.write = write)
}
