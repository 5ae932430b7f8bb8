/**
 * A child process that does not outlive its parent, whatever ends the parent: `kill -9` too.
 *
 * Node has no word for that, so between the two sits a shell (a few hundred kilobytes) that reads a pipe which only the
 * parent holds. The kernel closes the pipe when the parent ends, and the shell then ends the child: SIGTERM, and SIGKILL ten
 * seconds later. The shell and the child have a session of their own, so that Ctrl-C in a terminal does not reach them:
 * whoever uses the server drains first. Without a POSIX shell (Windows) the child is started bare.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

const script = `
left=$1; shift
exec 3<&0
"$@" </dev/null 3<&- & child=$!
echo "$child"
exec >/dev/null 2>&1
orphan=
trap 'orphan=1' USR1
trap 'kill -TERM "$child"' TERM INT HUP
( trap - USR1 TERM INT HUP
  read -r _ <&3
  kill -USR1 $$
  kill -TERM "$child"
  for second in 1 2 3 4 5 6 7 8 9 10; do sleep 1; done
  kill -KILL "$child" ) & watch=$!
wait "$child"; code=$?
while kill -0 "$child"; do wait "$child"; code=$?; done
kill "$watch"
if [ -n "$orphan" ] && [ -n "$left" ]; then rm -rf "$left"; fi
exit "$code"`

/** A running child: `exited` never rejects, and resolves when the child itself has ended. */
export interface Watched {
  readonly pid: number
  readonly exited: Promise<{ readonly code: number | null }>
  /** Asks it to end with SIGTERM, waits, and after `patienceMs` ends it with SIGKILL. */
  end(patienceMs?: number): Promise<void>
  /** Ends it with SIGKILL and waits. */
  kill(): Promise<void>
}

/**
 * Starts `command`; rejects when it can't be started.
 *
 * @param left a folder to remove when this process has gone without ending the child
 */
export async function spawnWatched(command: string, args: readonly string[], cwd: string, left = ''): Promise<Watched> {
  const bare = process.platform === 'win32'
  const child = bare
    ? spawn(command, args, { cwd, stdio: 'ignore', windowsHide: true })
    : spawn('/bin/sh', ['-c', script, 'sh', left, command, ...args], {
        cwd,
        stdio: ['pipe', 'pipe', 'ignore'],
        detached: true,
      })
  // Nobody else writes to the pipe; that it breaks when the shell ends first is no news.
  child.stdin?.on('error', () => {})
  const exited = new Promise<{ code: number | null }>((resolve) => child.once('exit', (code) => resolve({ code })))
  const pid = bare ? await ownPid(child) : await childPid(child)
  return { pid, exited, end: (patienceMs) => end(pid, exited, patienceMs), kill: () => kill(pid, exited) }
}

async function ownPid(child: ChildProcess): Promise<number> {
  await once(child, 'spawn')
  return child.pid ?? 0
}

async function childPid(shell: ChildProcess): Promise<number> {
  let text = ''
  for await (const chunk of shell.stdout ?? []) {
    text += String(chunk)
    if (text.includes('\n')) break
  }
  return Number.parseInt(text, 10)
}

async function end(pid: number, exited: Promise<unknown>, patienceMs = 10_000): Promise<void> {
  if (!signal(pid, 'SIGTERM')) return void (await exited)
  const impatient = setTimeout(() => signal(pid, 'SIGKILL'), patienceMs)
  await exited
  clearTimeout(impatient)
}

async function kill(pid: number, exited: Promise<unknown>): Promise<void> {
  signal(pid, 'SIGKILL')
  await exited
}

/** Sends a signal; false when there is no such process. */
export function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name)
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
