/** What listings show of a message: secrets are hidden, and bytes that can't be read, unless it is asked for with `--reveal`. */
import type { Secrets } from '../secrets.ts'
import type { FlagSpecs } from './command.ts'

export const revealFlag = {
  reveal: { meaning: 'show fields that are hidden as secrets, and bytes that are no payload' },
} as const satisfies FlagSpecs

/** A dead letter, or a message that waits. */
interface Listed {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  readonly payload: unknown
}

/** A copy to show; `secrets` is undefined where all is to be shown. */
export function shown<M extends Listed>(message: M, secrets: Secrets | undefined): M {
  if (secrets === undefined) return message
  const { body: _body, headers, payload, ...rest } = message
  return {
    ...(secrets.hide(rest) as object),
    headers: secrets.hideFields(headers),
    payload: secrets.hide(payload),
    // What is no payload may hold anything.
    body: NO_BYTES,
  } as M
}

const NO_BYTES = new Uint8Array(0)
