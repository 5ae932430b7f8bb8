/** A cancel as a sender asks for it: stored, followed by every worker and timer of the actor, and answered by who met the message. */
import type { Broker } from '../broker/broker.ts'
import type { CancelAnswer, CancelRequest } from '../broker/cancels.ts'
import { encodeHeaders, H } from '../broker/headers.ts'
import { ConfigError, UnavailableError, describe } from '../errors.ts'
import { nextId } from '../time/chance.ts'
import type { Waiters } from './results.ts'
import { storeCancel } from './store.ts'

export type CancelFound = { was: CancelAnswer['was'] | 'unknown' }

const REPEAT_MS = 60_000

/** Resolves with what it met, `unknown` where nobody has said so in time. Throws `ConfigError` `INVALID_OPTION`, and what the publish throws. */
export async function requestCancel(
  { broker, waiters }: { readonly broker: Broker; readonly waiters: Waiters },
  actor: string,
  request: CancelRequest,
  timeoutMs: number,
): Promise<CancelFound> {
  checkRequest(request)
  await waiters.open()
  const waiter = waiters.wait(`the cancel of ${request.id ?? describe(request)}`, timeoutMs)
  try {
    await storeCancel(broker, {
      subject: broker.subjects.cancel(actor),
      payload: Buffer.from(JSON.stringify(request)),
      headers: encodeHeaders([
        [H.dedupe, nextId()],
        [H.reply, waiter.subject],
      ]),
      stream: broker.subjects.cancelStream,
      repeatMs: REPEAT_MS,
    })
    return await waiter.outcome.then((answer) => ({ was: (answer as CancelAnswer).was }), unknownInTime)
  } finally {
    waiter.drop()
  }
}

function checkRequest({ id, message, root, header }: CancelRequest): void {
  if ([id, message, root, header].some((field) => field !== undefined)) return
  const text = 'expected a cancel to name an id, a message, a root or a header, got none of them'
  throw new ConfigError('INVALID_OPTION', text)
}

function unknownInTime(error: unknown): CancelFound {
  if (error instanceof UnavailableError && error.code === 'TIMEOUT') return { was: 'unknown' }
  throw error
}
