/**
 * No child process outlives its system, whatever ends that: `kill -9` too.
 *
 * A child ends by itself when its line to the parent breaks, but one whose event loop is blocked does not hear of it. Node has no
 * word for this. So one shell (a megabyte, for all children of this process) reads a pipe that only this process holds, and is
 * told there which children live. The kernel closes the pipe when this process ends; half a second later the shell ends
 * those that still live. Without a POSIX shell (Windows) only the line's end is left.
 *
 * Where it may die: the shell itself is started again, and told again. Between a child's start and its name in the pipe: it
 * runs none of a handler's code yet, and hears the line break.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'

const script = `
pids=
while read -r what pid; do
  if [ "$what" = + ]; then pids="$pids $pid"; continue; fi
  left=
  for one in $pids; do [ "$one" = "$pid" ] || left="$left $one"; done
  pids=$left
done
[ -n "$pids" ] || exit 0
sleep 0.5
kill -KILL $pids`

const guarded = new Set<number>()
let shell: ChildProcess | undefined

/** Ends the process when this one has ended. Returns what to call when it has ended by itself. */
export function guardOrphan(pid: number): () => void {
  if (process.platform === 'win32') return () => {}
  guarded.add(pid)
  if (shell === undefined) startShell()
  else tell(`+ ${pid}`)
  return () => {
    guarded.delete(pid)
    tell(`- ${pid}`)
    if (guarded.size === 0) endShell()
  }
}

function startShell(): void {
  // A session of its own: Ctrl-C in a terminal is for others.
  const started = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  shell = started
  started.stdin.on('error', () => {})
  started.once('error', () => {})
  started.once('exit', () => {
    if (shell !== started) return
    shell = undefined
    if (guarded.size > 0) startShell()
  })
  started.unref()
  // Of a child's pipes Node's types tell only what all streams have.
  ;(started.stdin as Socket).unref()
  for (const pid of guarded) tell(`+ ${pid}`)
}

function endShell(): void {
  const ended = shell
  shell = undefined
  ended?.stdin?.end()
}

function tell(line: string): void {
  shell?.stdin?.write(`${line}\n`)
}
