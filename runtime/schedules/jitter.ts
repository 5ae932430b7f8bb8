/** A delay for each occurrence that every timer works out alike: neither chance nor memory. */

/**
 * A whole number of milliseconds from 0 to `jitterMs`, the same for the same schedule and planned time, spread evenly over both.
 */
export function jitterOf(scheduleId: string, plannedMs: number, jitterMs: number): number {
  const hash = mixed(hashed(`${scheduleId}@${plannedMs}`))
  return Math.floor((hash / 2 ** 32) * (jitterMs + 1))
}

/** FNV-1a, 32 bits. */
function hashed(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash >>> 0
}

/** The end of MurmurHash3: FNV alone leaves the upper bits of similar texts similar. */
function mixed(hash: number): number {
  let bits = hash ^ (hash >>> 16)
  bits = Math.imul(bits, 0x85ebca6b)
  bits ^= bits >>> 13
  bits = Math.imul(bits, 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}
