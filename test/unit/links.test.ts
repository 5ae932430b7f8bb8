/** The links of what is read: each leads to a file that is there, and to a heading in it. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

import { describe, expect, it } from 'vitest'

const PAGES = [
  'README.md',
  'CHANGELOG.md',
  'runtime/README.md',
  'runtime/PROTOCOL.md',
  'actors/README.md',
  'config/README.md',
  'test/README.md',
]

/** Without code, in which brackets are no links. */
const textOf = (page: string): string => readFileSync(page, 'utf8').replaceAll(/^```.*?^```/gms, '')

/** As GitHub makes them. */
function anchorsOf(page: string): Set<string> {
  const headings = [...textOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading)
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

function linksOf(page: string): { to: string; file: string; anchor: string }[] {
  return [
    ...textOf(page)
      .replaceAll(/`[^`]*`/g, '')
      .matchAll(/\]\(([^)\s]+)\)/g),
  ]
    .map(([, to = '']) => to)
    .filter((to) => !/^[a-z]+:/.test(to))
    .map((to) => {
      const [path = '', anchor = ''] = to.split('#')
      return { to, file: path === '' ? page : relative('.', join(dirname(page), path)), anchor }
    })
}

describe.each(PAGES)('%s', (page) => {
  it('links to what is there', () => {
    const broken = linksOf(page).filter(
      ({ file, anchor }) =>
        !existsSync(file) || (anchor !== '' && (statSync(file).isDirectory() || !anchorsOf(file).has(anchor))),
    )
    expect(broken.map(({ to }) => to)).toEqual([])
  })
})

it('finds links at all, and tells one that leads nowhere', () => {
  expect(linksOf('README.md').length).toBeGreaterThan(5)
  expect(anchorsOf('runtime/README.md').has('what-a-hop-costs')).toBe(true)
  expect(anchorsOf('runtime/README.md').has('what-nobody-wrote')).toBe(false)
})
