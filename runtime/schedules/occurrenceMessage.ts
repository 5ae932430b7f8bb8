/**
 * The message of an occurrence, and how it is known again.
 *
 * `Troupe-Schedule` says which occurrence it is; anybody can write that. `Troupe-Proof` is made with the word that only the actor's own
 * workers and timers can read (`Assets.timerSalt`), so a stranger's message never touches a schedule's account, and his guess at a
 * dedupe key never makes a timer's publish look like a repeat.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

import { encodeHeaders, H, type HeaderEntry } from '../broker/headers.ts'
import { optionHeaders } from '../client/options.ts'
import { formatPlanned, readPlanned } from '../time/planned.ts'
import { bodyOf, type StoredSend } from './send.ts'

/** Which occurrence a message claims to be. */
export interface Claim {
  readonly schedule: string
  /** Epoch ms. */
  readonly planned: number
}

/** The message's id, and the value of `Troupe-Schedule`: `daily-digest@2027-03-28T08:00:00Z`. */
export function occurrenceId(schedule: string, planned: number): string {
  return `${schedule}@${formatPlanned(planned)}`
}

const CLAIM = /^([a-zA-Z0-9_-]{1,128})@([\dTZ:.-]{20,27})$/

/** What a header claims, whoever wrote it. */
export function readClaim(header: string | undefined): Claim | undefined {
  const match = header === undefined ? null : CLAIM.exec(header)
  const planned = match?.[2] === undefined ? undefined : readPlanned(match[2])
  return match?.[1] === undefined || planned === undefined ? undefined : { schedule: match[1], planned }
}

export function proofOf(salt: string, { schedule, planned }: Claim): string {
  return createHmac('sha256', salt).update(occurrenceId(schedule, planned)).digest('base64url').slice(0, 27)
}

export function isProven(salt: string, claim: Claim, proof: string | undefined): boolean {
  const [want, have] = [Buffer.from(proofOf(salt, claim)), Buffer.from(proof ?? '')]
  return salt !== '' && want.length === have.length && timingSafeEqual(want, have)
}

/** Bytes for the mailbox. `at` is when it was to be sent, epoch ms; durations in its options count from `now`. */
export function occurrenceMessage(
  claim: Claim,
  send: StoredSend,
  salt: string,
  { at, now }: { at: number; now: number },
): { payload: Uint8Array; headers: Uint8Array } {
  const { lane: _lane, ...options } = send.options ?? {}
  const id = occurrenceId(claim.schedule, claim.planned)
  const headers: HeaderEntry[] = [
    [H.dedupe, `${id}:${salt}`],
    [H.id, id],
    [H.schedule, id],
    [H.proof, proofOf(salt, claim)],
    [H.due, String(Math.round(at))],
    ...optionHeaders(options, () => now),
  ]
  return { payload: bodyOf(send), headers: encodeHeaders(headers) }
}
