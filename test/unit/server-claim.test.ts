import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { attach } from '#config/server/attach.js'
import { makeClaim, newestClaim, releaseClaim } from '#config/server/claim.js'
import { freePort } from '#config/server/nats.js'

async function folder() {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-claim-'))
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) }
}

const claim = (token: string) => ({ pid: process.pid, host: hostname(), port: 1, token })

describe('a claim', () => {
  it('is made by one of many at once (C2)', async () => {
    await using f = await folder()
    const made = await Promise.all(Array.from({ length: 20 }, (_, index) => makeClaim(f.dir, 1, claim(String(index)))))
    expect(made.filter(Boolean)).toHaveLength(1)
    const { number, claim: newest } = await newestClaim(f.dir)
    expect(number).toBe(1)
    expect(made[Number(newest?.token)]).toBe(true)
  })

  it('does not hold when it was made from an old list (C1)', async () => {
    await using f = await folder()
    expect(await makeClaim(f.dir, 3, claim('a'))).toBe(true)
    expect(await makeClaim(f.dir, 2, claim('late'))).toBe(false)
    expect(await newestClaim(f.dir)).toMatchObject({ number: 3, claim: { token: 'a' } })
  })

  it('keeps its number when it is given back, and is nobody else to give back', async () => {
    await using f = await folder()
    await makeClaim(f.dir, 1, claim('a'))
    await releaseClaim(f.dir, 1, claim('b'))
    expect((await newestClaim(f.dir)).claim?.released).toBeUndefined()
    await releaseClaim(f.dir, 1, claim('a'))
    expect(await newestClaim(f.dir)).toMatchObject({ number: 1, claim: { released: true } })
    expect(await makeClaim(f.dir, 2, claim('c'))).toBe(true)
    expect(await readdir(join(f.dir, 'guardian'))).toEqual(['2.json'])
  })

  it('without content is nobody, and a refused port is dead', async () => {
    await using f = await folder()
    await mkdir(join(f.dir, 'guardian'))
    await writeFile(join(f.dir, 'guardian', '4.json'), '')
    expect(await newestClaim(f.dir)).toEqual({ number: 4, claim: undefined })
    expect(await attach({ ...claim('x'), port: await freePort() })).toEqual({ kind: 'dead' })
  })
})
