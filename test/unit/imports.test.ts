/**
 * The rules of STYLE 4 and 5 and DESIGN section 9 on who may import what and who may touch the outside, by reading the sources.
 * Comments and texts are taken out first: only code counts.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { describe, expect, it } from 'vitest'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')

interface Import {
  readonly from: string
  /** `import type`, or every name of it marked as a type. */
  readonly isType: boolean
}

interface Source {
  /** `runtime/flow/settle.ts` */
  readonly path: string
  readonly text: string
  readonly code: string
  readonly imports: readonly Import[]
}

/** Comments become nothing; texts become empty, templates too, but for the code in their `${…}`. */
function codeOf(text: string): string {
  const word = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g
  return text.replace(word, (found) => {
    if (found.startsWith('/')) return ' '
    return found.startsWith('`') ? (found.match(/\$\{[^}]*\}/g) ?? []).join(' ') : "''"
  })
}

/** Static imports and re-exports, and dynamic imports of a literal. */
function importsOf(text: string): Import[] {
  const bare = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/[^\n]*/gm, ' ')
  const statement =
    /^[ \t]*(?:import|export)\s+(?:(type)\s+)?((?:[\w$*\s,]|\{[^{}]*\})*?)\s*\bfrom\s*'([^']+)'|^[ \t]*import\s*'([^']+)'/gm
  const statics = [...bare.matchAll(statement)].map(([, type, names = '', from, whole = '']) => {
    const list = /^\s*\{([^}]*)\}\s*$/
      .exec(names)?.[1]
      ?.split(',')
      .filter((name) => name.trim() !== '')
    const isType =
      type !== undefined ||
      (list !== undefined && list.length > 0 && list.every((name) => name.trim().startsWith('type ')))
    return { from: from ?? whole, isType }
  })
  const dynamic = [...bare.matchAll(/\bimport\(\s*'([^']+)'/g)].map(([, from = '']) => ({ from, isType: false }))
  return [...statics, ...dynamic]
}

function sourcesOf(folder: string): Source[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => {
      const path = join(folder, name)
      const text = readFileSync(join(root, path), 'utf8')
      return { path, text, code: codeOf(text), imports: importsOf(text) }
    })
}

const sources = ['runtime', 'actors', 'config'].flatMap(sourcesOf)
const inside = (folder: string): Source[] => sources.filter(({ path }) => path.startsWith(`${folder}/`))

/** Where a relative import leads, from the root; `undefined` for packages. */
function target({ path }: Source, { from }: Import): string | undefined {
  return from.startsWith('.') ? relative(root, resolve(root, dirname(path), from)) : undefined
}

function importing(among: readonly Source[], matches: (entry: Import, source: Source) => boolean): string[] {
  return among.flatMap((source) =>
    source.imports.filter((entry) => matches(entry, source)).map(({ from }) => `${source.path} imports ${from}`),
  )
}

function using(pattern: RegExp, allowed: (path: string) => boolean, among = sources): string[] {
  return among.filter(({ path, code }) => !allowed(path) && pattern.test(code)).map(({ path }) => path)
}

describe('the reader of sources', () => {
  it('sees code and not comments or texts', () => {
    const code = codeOf("a() // Date.now()\n/* Math.random() */ b('process.env') + `x ${c(Date.now())} process.env`")
    expect(code).toContain('c(Date.now())')
    expect(code).not.toMatch(/process\.env|Math\.random/)
    expect(code.match(/Date\.now/g)).toHaveLength(1)
  })

  it('tells imports of types from others', () => {
    const text =
      "import type { A } from 'a'\nimport { type B, type C } from 'b'\nimport { type D, e } from 'd'\nimport 'f'\nexport * from './g.ts'\nconst h = await import('h')\nimport {\n  i,\n} from 'i'"
    expect(importsOf(text)).toEqual([
      { from: 'a', isType: true },
      { from: 'b', isType: true },
      { from: 'd', isType: false },
      { from: 'f', isType: false },
      { from: './g.ts', isType: false },
      { from: 'i', isType: false },
      { from: 'h', isType: false },
    ])
  })

  it('finds the sources', () => {
    expect(inside('runtime').length).toBeGreaterThan(40)
    expect(inside('actors').length).toBeGreaterThan(3)
    expect(inside('config').length).toBeGreaterThan(10)
    expect(
      importing(inside('runtime/broker'), ({ from, isType }) => from.startsWith('@nats-io/') && !isType),
    ).not.toEqual([])
  })
})

describe('only', () => {
  it('the broker imports the NATS client; others at most its types', () => {
    const others = sources.filter(({ path }) => !path.startsWith('runtime/broker/'))
    expect(
      importing(others, ({ from, isType }) => !isType && (from.startsWith('@nats-io/') || from === 'nats')),
    ).toEqual([])
  })

  it('config reads the environment', () => {
    expect(
      using(/\bprocess\s*(\?\.|\.)\s*env\b|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b/, (path) =>
        path.startsWith('config/'),
      ),
    ).toEqual([])
  })

  it('time/clock.ts reads the clock', () => {
    const clock = /\bDate\.now\b|\bnew Date\(\)|\bperformance\.(now|timeOrigin)\b|\bprocess\s*\.\s*hrtime\b/
    expect(using(clock, (path) => path === 'runtime/time/clock.ts')).toEqual([])
    expect(importing(sources, ({ from }) => /^(node:)?(perf_hooks|timers\/promises)$/.test(from))).toEqual([])
  })

  it('time/chance.ts makes chance', () => {
    expect(
      using(/\bMath\.random\b|\brandomUUID\b|\bgetRandomValues\b/, (path) => path === 'runtime/time/chance.ts'),
    ).toEqual([])
  })

  it('system.ts of the runtime knows the built-in actors', () => {
    expect(
      importing(
        inside('runtime'),
        (entry, source) => target(source, entry)?.startsWith('actors/') === true && source.path !== 'runtime/system.ts',
      ),
    ).toEqual([])
  })
})

describe('nothing', () => {
  it('of the product imports tests, or the bare client that only tests use', () => {
    expect(importing(sources, (entry, source) => target(source, entry)?.startsWith('test/') === true)).toEqual([])
    expect(
      importing(sources, ({ from }) => ['nats', 'vitest', 'fast-check', 'zod', 'valibot', 'arktype'].includes(from)),
    ).toEqual([])
  })

  it('but the testing kit itself imports the testing kit', () => {
    const others = sources.filter(({ path }) => !path.startsWith('runtime/testing/'))
    expect(
      importing(others, (entry, source) => target(source, entry)?.startsWith('runtime/testing/') === true),
    ).toEqual([])
  })

  it('imports through the maps that are meant for tests', () => {
    expect(
      importing(sources, ({ from }) => from.startsWith('#') || from === 'troupe' || from.startsWith('troupe/')),
    ).toEqual([])
  })

  it('is imported without its ending', () => {
    expect(importing(sources, ({ from }) => from.startsWith('.') && !/\.(ts|json)$/.test(from))).toEqual([])
  })
})

describe('folders', () => {
  it('are named by a duty, never by a grammar', () => {
    const names = sources.flatMap(({ path }) => dirname(path).split('/'))
    expect(names.filter((name) => /^(utils?|types?|helpers?|classes|lib|common|misc)$/.test(name))).toEqual([])
  })
})

describe('the head of a file', () => {
  it('stands at its top: what sorts imports takes a comment along with the one below it', () => {
    const all = [...sources, ...sourcesOf('test')]
    const between = all.filter(({ text }) =>
      /^(?:import[^\n]*\n(?:  [^\n]*\n|\}[^\n]*\n)*\n?)+\/\*\*[\s\S]*?\*\/\nimport /.test(text),
    )
    expect(between.map(({ path }) => path)).toEqual([])
  })
})
