/** Node's own flags that a thread or child process takes over: those that say how modules are found and loaded. */

/** With a value of their own, behind `=` or as the next word. */
const VALUED = new Set([
  '--import',
  '--require',
  '-r',
  '--loader',
  '--experimental-loader',
  '--conditions',
  '-C',
  '--experimental-default-type',
  '--disable-warning',
])
const BARE =
  /^--(?:enable-source-maps|no-warnings|preserve-symlinks|experimental-[a-z-]+|no-experimental-[a-z-]+|no-deprecation)$/

/** What of `execArgv` says how modules are loaded. Debuggers, heap sizes, evaluated text stay with the one they were meant for. */
export function loadingFlags(execArgv: readonly string[]): string[] {
  const kept: string[] = []
  for (let at = 0; at < execArgv.length; at++) {
    const flag = execArgv[at] ?? ''
    const [name = '', value] = flag.split('=', 2)
    if (VALUED.has(name)) kept.push(flag, ...(value === undefined ? execArgv.slice(++at, at + 1) : []))
    else if (BARE.test(flag)) kept.push(flag)
  }
  return kept
}
