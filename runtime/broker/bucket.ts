/**
 * Key-value buckets as NATS defines them (ADR-8), over our own request layer: three to five times the library's speed
 * (LIMITS.md), reads from the leader, and compare-and-set with typed errors. `nats kv` sees the same buckets.
 *
 * A revision is the sequence of a key's last message, deletes included: creating a key that was deleted needs the revision of
 * its delete marker. Whoever writes says which revision it has seen; 0 says that there was none.
 */
import { JetStreamError, type JetStreamApi, type Stored } from './api.ts'
import { encodeHeaders, H } from './headers.ts'
import type { Publisher } from './publisher.ts'

/** One key as it stands now. */
export interface BucketEntry {
  readonly key: string
  readonly revision: number
  /** Undefined: the key was deleted. */
  readonly data: Uint8Array | undefined
  /** Epoch ms by the server's clock. */
  readonly storedAt: number
}

/** A write that gets no answer is repeated so long: it either conflicts with itself, which its reader sees, or was not stored. */
const REPEAT_MS = 10_000

export class Bucket {
  readonly name: string
  readonly #api: JetStreamApi
  readonly #publisher: Publisher

  constructor(name: string, api: JetStreamApi, publisher: Publisher) {
    this.name = name
    this.#api = api
    this.#publisher = publisher
  }

  get stream(): string {
    return bucketStream(this.name)
  }

  /** The subject on which changes of these keys are heard; `*` and `>` as in NATS. */
  subject(keys: string): string {
    return `$KV.${this.name}.${keys}`
  }

  /** A key's last word, or undefined where it never was, or where the bucket does not exist. */
  async read(key: string): Promise<BucketEntry | undefined> {
    const stored = await this.#api.readMessage(this.stream, { last_by_subj: this.subject(key) }).catch(noBucket)
    return stored && this.#entry(stored)
  }

  /** All keys that match and were not deleted, oldest change first. */
  async list(keys: string): Promise<BucketEntry[]> {
    const entries: BucketEntry[] = []
    for (let seq = 1; ;) {
      const stored = await this.#api.readMessage(this.stream, { next_by_subj: this.subject(keys), seq }).catch(noBucket)
      if (stored === undefined) return entries
      seq = stored.sequence + 1
      const entry = this.#entry(stored)
      if (entry.data !== undefined) entries.push(entry)
    }
  }

  /** Writes a key whose last revision is `expected`. Returns the new one. Throws `JetStreamError` `conflict` where it is another. */
  write(key: string, data: Uint8Array, expected: number): Promise<number> {
    return this.#publish(key, data, [[H.expectedLastSubjectSequence, String(expected)]])
  }

  /** Deletes a key whose last revision is `expected`; a marker stays. Throws as `write`. */
  delete(key: string, expected: number): Promise<number> {
    const headers = [
      [H.kvOperation, 'DEL'],
      [H.expectedLastSubjectSequence, String(expected)],
    ] as const
    return this.#publish(key, undefined, headers)
  }

  async #publish(
    key: string,
    payload: Uint8Array | undefined,
    headers: readonly (readonly [string, string])[],
  ): Promise<number> {
    const { sequence } = await this.#publisher.publish({
      subject: this.#api.keySubject(this.subject(key)),
      payload,
      headers: encodeHeaders(headers),
      stream: this.stream,
      repeatMs: REPEAT_MS,
    })
    return sequence
  }

  #entry({ subject, sequence, headers, data, storedAt }: Stored): BucketEntry {
    const isDeleted = headers.get(H.kvOperation) !== undefined
    const key = subject.slice(this.subject('').length)
    return { key, revision: sequence, data: isDeleted ? undefined : data, storedAt }
  }
}

/** The stream behind a bucket. */
export function bucketStream(bucket: string): string {
  return `KV_${bucket}`
}

function noBucket(error: unknown): undefined {
  if (error instanceof JetStreamError && error.refusal === 'gone') return undefined
  throw error
}
