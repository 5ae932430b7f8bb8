/**
 * Puts a file where others look for it, whole or not at all, whoever does the same at the same time.
 *
 * The race: any number of processes find the place empty or something broken in it, and each brings a good file. All that counts is
 * one rename of a file onto a file, which the system does in one step: what was there, nothing, broken or good, is
 * replaced, and nobody finds the place empty in between. So each of them succeeds in any order; the last one's file stays,
 * as good as the others; who runs or reads the one before keeps it until he is through.
 *
 * Not by renaming the folder around it: that can't replace a folder that has something in it. The broken one had to be moved away
 * first, and between "it is broken" and "it is moved" another had put a good one there: that was moved away, the place
 * stood empty for a moment, and of two who then put theirs in the second failed with ENOTEMPTY.
 *
 * Where it may die: before the rename nothing has happened, after it everything has.
 *
 * The system may refuse the rename (Windows: of a file that runs). Then what is there is looked at: if it is good, that does.
 */
import { mkdir, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Moves the file `from` to `to`, over what is there. Both must be on one disk. `isGood` tells whether the file at a path
 * does as well as ours. Rejects with the system's error where it can't be done and what is there is not good.
 */
export async function putInPlace(from: string, to: string, isGood: (path: string) => Promise<boolean>): Promise<void> {
  try {
    await mkdir(dirname(to), { recursive: true })
    await rename(from, to)
  } catch (error) {
    if (!(await isGood(to))) throw error
  }
}
