/** The only place where chance comes from: numbers for jitter, secrets, and ids. */

import { randomBytes, randomInt } from 'node:crypto'

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const bitsPerDigit = Math.log2(digits.length)

/** A number from 0 to below 1, for jitter and the like: guessable. */
export function random(): number {
  return Math.random()
}

/** Unguessable base62 text that carries at least `bytes` bytes of randomness. */
export function randomToken(bytes = 16): string {
  return randomDigits(Math.ceil((bytes * 8) / bitsPerDigit))
}

function randomDigits(count: number): string {
  let text = ''
  while (text.length < count) {
    // Bytes from 248 would make the first digits likelier than the others.
    for (const byte of randomBytes(count)) if (byte < 248) text += digits[byte % 62]
  }
  return text.slice(0, count)
}

// An id is 12 random digits, then a counter of 10 digits that starts anywhere and steps by a random increment, as NATS's NUID
// does it. The counter is held in two halves: 62^10 is beyond what a number holds exactly. Ids of one process
// differ by the counter, ids of two processes by the prefix.
const half = 62 ** 5
const pairs = Array.from(digits).flatMap((first) => Array.from(digits, (second) => first + second))
let prefix = ''
let high = half
let low = 0
let step = 1

/** A unique id of 22 characters `[0-9A-Za-z]`. Unique, not secret: whoever sees one can guess the next. */
export function nextId(): string {
  low += step
  if (low >= half || prefix === '') carry()
  return prefix + halfText(low)
}

function carry(): void {
  low %= half
  high += 1
  if (high >= half || prefix === '') reseed()
  prefix = prefix.slice(0, 12) + halfText(high)
}

function reseed(): void {
  prefix = randomDigits(12)
  high = randomInt(half)
  low = randomInt(half)
  step = randomInt(33, 333)
}

function halfText(value: number): string {
  const rest = value % 14_776_336
  return digits.charAt((value - rest) / 14_776_336) + pairs[(rest / 3844) | 0] + pairs[rest % 3844]
}
