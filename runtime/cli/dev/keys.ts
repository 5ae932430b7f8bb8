/** Keys of `troupe dev`: single ones in a terminal, lines elsewhere (`r` and return, as an editor's task runner sends it). */

/** What a key does, by its letter. */
export type Keys = Readonly<Record<string, () => void>>

const CTRL_C = '\u0003'

/** Returns what ends it. Where nothing can be read, there are no keys. */
export function readKeys(keys: Keys): () => void {
  const { stdin } = process
  const isTerminal = stdin.isTTY
  const onData = (data: Buffer): void => {
    const words = data.toString().split(isTerminal ? '' : /\s+/)
    for (const word of words) {
      // In raw mode the terminal sends Ctrl-C as a character.
      if (word === CTRL_C) process.emit('SIGINT')
      else keys[word.toLowerCase()]?.()
    }
  }
  if (isTerminal) stdin.setRawMode(true)
  stdin.on('data', onData).on('error', () => {})
  return () => {
    stdin.off('data', onData).pause()
    if (isTerminal) stdin.setRawMode(false)
  }
}
