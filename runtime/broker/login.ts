/**
 * Who we are to NATS: what signs for us, made of the credentials, the seed or the JWT of the settings before anything is dialled.
 *
 * Owns: reading keys from their files, the `ConfigError` of one that can't be used. A secret is in none of its texts and causes.
 * Does not own: what the server makes of it (dial.ts).
 */
import { readFile } from 'node:fs/promises'

import { credsAuthenticator, jwtAuthenticator, nkeyAuthenticator, type Authenticator } from '@nats-io/transport-node'

import { ConfigError } from '../errors.ts'

/** The meaning of each is in config/schema.ts, under `nats`. */
export interface Login {
  readonly credentials?: string | undefined
  readonly nkey?: string | undefined
  readonly jwt?: string | undefined
}

/** Undefined where the settings name no key. Throws `ConfigError` for keys that can't be read or can't sign. */
export async function authenticator({ credentials, nkey, jwt }: Login): Promise<Authenticator | undefined> {
  if (credentials !== undefined) {
    const file = await keyFile(credentials, 'nats.credentials')
    const what = `a credentials file (.creds) with a JWT and a seed, got: ${credentials}, which is none or was changed`
    return usable(credsAuthenticator(file), `expected nats.credentials to be ${what}`)
  }
  const seed = nkey === undefined ? undefined : await seedBytes(nkey)
  const wrong =
    'expected nats.nkey to be a seed as "nk" or "nsc" made it, or its file, got: one with a slip in it (not shown)'
  if (jwt !== undefined) return usable(jwtAuthenticator(jwt, seed), wrong)
  return seed === undefined ? undefined : usable(nkeyAuthenticator(seed), wrong)
}

/** Tried before anything is dialled: else a key that can't sign looks like a server that can't be reached. Its own error may name the key. */
function usable(authenticate: Authenticator, problem: string): Authenticator {
  try {
    authenticate('nonce')
  } catch {
    throw new ConfigError('INVALID_CONFIG', `${problem}. Get it again from who made it.`)
  }
  return authenticate
}

/** A seed as it is, or the file that holds it. Seeds begin with S and the kind of key (NATS nkeys). */
async function seedBytes(nkey: string): Promise<Uint8Array> {
  if (/^S[A-Z0-9]{50,}$/.test(nkey.trim())) return Buffer.from(nkey.trim())
  const text = Buffer.from(await keyFile(nkey, 'nats.nkey')).toString()
  return Buffer.from(/S[A-Z0-9]{50,}/.exec(text)?.[0] ?? text.trim())
}

async function keyFile(path: string, key: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (cause) {
    // A seed with a slip in it is taken for a path: what may be a secret is shown nowhere, not even in the cause.
    if (key === 'nats.nkey')
      throw new ConfigError(
        'INVALID_CONFIG',
        `expected ${key} to be a seed or a file that can be read, got: neither (not shown)`,
      )
    throw new ConfigError('INVALID_CONFIG', `expected ${key} to be a file that can be read, got: ${path}`, { cause })
  }
}
