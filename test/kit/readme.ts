/** README's own code and commands, for tests that run them. */
import { readFile, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export interface Readme {
  readonly text: string
  /** Blocks that begin with a comment naming their file: `// actors/mailer.ts`. */
  readonly files: ReadonlyMap<string, string>
  /** Lines of the blocks of commands, without what stands behind ` # `. */
  readonly commands: readonly string[]
}

/** The README at the top of the repository. */
export async function readReadme(): Promise<Readme> {
  const text = await readFile(join(process.cwd(), 'README.md'), 'utf8')
  const blocks = [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, kind, body = '']) => ({ kind, body }))
  const named = blocks.map(({ body }) => [/^\/\/ (\S+\.[cm]?[jt]s)\n/.exec(body)?.[1], body] as const)
  const lines = blocks.filter(({ kind }) => kind === 'sh').flatMap(({ body }) => body.split('\n'))
  return {
    text,
    files: new Map(named.filter((entry): entry is readonly [string, string] => entry[0] !== undefined)),
    commands: lines.map((line) => line.replace(/\s+#\s.*$/, '').trim()).filter((line) => line !== ''),
  }
}

/** Writes README's files into a project. */
export async function pasteFiles(
  { files }: Readme,
  dir: string,
  names: Iterable<string> = files.keys(),
): Promise<void> {
  for (const name of names) {
    await mkdir(dirname(join(dir, name)), { recursive: true })
    await writeFile(join(dir, name), files.get(name) ?? '')
  }
}
