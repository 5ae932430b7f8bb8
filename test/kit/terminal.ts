/** Commands as a user types them: real processes in a folder, with all that they print. */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'

import { eventually } from './system.ts'

/** A command that runs. Killed at the end of `await using`, if it has not ended by then. */
export class Command implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly exited: Promise<[code: number | null, signal: string | null]>
  output = ''

  constructor(line: string, dir: string, env: NodeJS.ProcessEnv = {}) {
    // A group of its own, as in a terminal: what the shell has started is reached too.
    const options: SpawnOptions = { cwd: dir, shell: true, detached: true, stdio: ['ignore', 'pipe', 'pipe'] }
    this.#child = spawn(line, { ...options, env: { ...process.env, ...env } })
    this.exited = once(this.#child, 'exit') as Promise<[number | null, string | null]>
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (text) => (this.output += String(text)))
  }

  /** Waits until it has printed that, and returns what was matched. */
  async says(pattern: RegExp, timeoutMs = 20_000): Promise<RegExpExecArray> {
    const found = (): RegExpExecArray | null => pattern.exec(this.output)
    const look = (): boolean => found() !== null || this.#child.exitCode !== null
    await eventually(`the command prints ${String(pattern)}: ${this.output}`, look, timeoutMs)
    const match = found()
    if (match === null)
      throw new Error(`expected the command to print ${String(pattern)}, it ended with: ${this.output}`)
    return match
  }

  /** To the whole group, as Ctrl-C does it. */
  kill(signal: NodeJS.Signals): void {
    try {
      process.kill(-(this.#child.pid ?? 0), signal)
    } catch {
      // It has ended.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.kill('SIGKILL')
    await this.exited
  }
}

/** Runs a command to its end; throws where it does not end with code 0. */
export async function runCommand(line: string, dir: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  await using command = new Command(line, dir, env)
  const [code, signal] = await command.exited
  if (code === 0) return command.output
  throw new Error(`${line} ended with ${code ?? signal}: ${command.output}`)
}
