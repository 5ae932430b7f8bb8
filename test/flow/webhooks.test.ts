import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { connect as connectNats } from '@nats-io/transport-node'
import type { DeadLetter, MessageEvents } from 'troupe'
import { describe, expect, it } from 'vitest'

import { signatureHeaders, verifyWebhook } from '#actors/examples/signature.js'
import { webhookDeliverer, type Endpoint } from '#actors/examples/webhooks.js'

import { testBundle, type Bundle } from '../kit/system.ts'

const secret = (letter: string): string => `whsec_${Buffer.from(letter.repeat(32)).toString('base64')}`

interface Request {
  readonly headers: IncomingMessage['headers']
  readonly body: string
  readonly path: string | undefined
}

/** A real HTTP server that answers as it is told, and remembers what came. */
async function startEndpoint(answer: (response: ServerResponse, count: number) => void) {
  const requests: Request[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      requests.push({ headers: request.headers, body: Buffer.concat(chunks).toString(), path: request.url })
      answer(response, requests.length)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = (server.address() as AddressInfo).port
  const stop = async (): Promise<void> => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return { url: `http://127.0.0.1:${port}/hook`, requests, [Symbol.asyncDispose]: stop }
}

const status = (code: number) => (response: ServerResponse) => response.writeHead(code).end()

function deliverer(endpoints: Record<string, Endpoint>, options: { timeout?: string } = {}) {
  const retry = { attempts: 3, backoff: { base: '1ms', jitter: 0 } }
  return webhookDeliverer({ endpoint: (name) => endpoints[name], retry, ...options })
}

const paid = { endpoint: 'shop', type: 'order.paid', data: { order: 7 } }

/** Sends one event and returns how it ended. */
async function deliver(url: string, options: { timeout?: string } = {}): Promise<DeadLetter | MessageEvents['done']> {
  const webhooks = deliverer({ shop: { url, secrets: [secret('a')] } }, options)
  await using t = await testBundle({ actors: [webhooks], events: 'all' })
  const { id } = await t.troupe.send(webhooks.deliver, paid)
  return await ended(t, id)
}

function ended(t: Bundle, id: string): Promise<DeadLetter | MessageEvents['done']> {
  const where = (data: { id: string }): boolean => data.id === id
  const dead = t.events.wait('dead', { where }).then(() => t.troupe.dead.show(id))
  return Promise.race([t.events.wait('done', { where }), dead])
}

describe('the signature of a webhook', () => {
  // The vector that the reference libraries of Standard Webhooks test themselves with.
  const vector = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1_614_265_330, body: '{"test": 2432232314}' }
  const known = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  const headers = signatureHeaders([known], vector)
  const now = vector.timestamp * 1000
  const body = Buffer.from(vector.body)

  it('is what the reference libraries make', () => {
    expect(headers['webhook-signature']).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
    expect(verifyWebhook([known], headers, body, { now })).toBe(vector.id)
  })

  it('holds with any one of several secrets, on both sides', () => {
    const both = signatureHeaders([secret('n'), secret('o')], vector)
    expect(both['webhook-signature']?.split(' ')).toHaveLength(2)
    for (const letter of ['n', 'o']) expect(verifyWebhook([secret(letter)], both, body, { now })).toBe(vector.id)
    expect(verifyWebhook([secret('x'), secret('o')], both, body, { now })).toBe(vector.id)
  })

  it.each([
    ['another body', {}, Buffer.from('{}'), now],
    ['another id', { 'webhook-id': 'msg_other' }, body, now],
    ['another time', { 'webhook-timestamp': String(vector.timestamp + 1) }, body, now],
    ['a time that is none', { 'webhook-timestamp': 'now' }, body, now],
    ['no signature', { 'webhook-signature': undefined }, body, now],
    [
      'a signature of another kind',
      { 'webhook-signature': headers['webhook-signature']?.replace('v1', 'v1a') },
      body,
      now,
    ],
    ['half a signature', { 'webhook-signature': headers['webhook-signature']?.slice(0, 20) }, body, now],
    ['a replay after five minutes', {}, body, now + 301_000],
    ['a time ahead', {}, body, now - 301_000],
  ])('refuses %s', (_what, changed, received, at) => {
    expect(() => verifyWebhook([known], { ...headers, ...changed }, received, { now: at })).toThrow(/^expected/)
  })

  it('takes no secret that is none, and does not show it', () => {
    for (const bad of ['sesame-open', 'whsec_c2hvcnQ=', `whsec_${'%'.repeat(40)}`]) {
      expect(() => signatureHeaders([bad], vector)).toThrow(/expected a webhook secret/)
      expect(() => signatureHeaders([bad], vector)).not.toThrow(bad)
    }
  })
})

describe('the webhook deliverer', () => {
  it('posts an event, signed so that its receiver can check it', async () => {
    await using endpoint = await startEndpoint(status(204))
    expect(await deliver(endpoint.url)).toMatchObject({ message: 'deliver', attempt: 1 })
    const [request] = endpoint.requests
    expect(JSON.parse(request?.body ?? '')).toMatchObject({ type: 'order.paid', data: { order: 7 } })
    expect(request?.headers['content-type']).toBe('application/json')
    const id = verifyWebhook([secret('a')], request?.headers ?? {}, Buffer.from(request?.body ?? ''), {
      now: Date.now(),
    })
    expect(id).toBe(request?.headers['webhook-id'])
  })

  it('repeats on 5xx, 429 and a broken connection, with the same id and body', async () => {
    await using endpoint = await startEndpoint((response, count) => {
      if (count === 1) response.destroy()
      else status(count === 2 ? 429 : 200)(response)
    })
    expect(await deliver(endpoint.url)).toMatchObject({ message: 'deliver', attempt: 3 })
    expect(endpoint.requests).toHaveLength(3)
    expect(new Set(endpoint.requests.map(({ headers, body }) => `${String(headers['webhook-id'])} ${body}`)).size).toBe(
      1,
    )
  })

  it('waits as long as Retry-After asks, in seconds or as a date', async () => {
    for (const after of ['2', new Date(Date.now() + 60_000).toUTCString()]) {
      await using endpoint = await startEndpoint((response) => response.writeHead(503, { 'retry-after': after }).end())
      const webhooks = deliverer({ shop: { url: endpoint.url, secrets: [secret('a')] } })
      await using t = await testBundle({ actors: [webhooks] })
      await t.troupe.send(webhooks.deliver, paid)
      const { afterMs } = await t.events.wait('retry')
      expect(afterMs).toBeGreaterThan(after === '2' ? 1_999 : 50_000)
    }
  })

  it('gives up an answer that does not come in time, and tries again', async () => {
    await using endpoint = await startEndpoint((response, count) => count > 1 && status(200)(response))
    expect(await deliver(endpoint.url, { timeout: '100ms' })).toMatchObject({ attempt: 2 })
  })

  it('makes a dead letter at once of 410, other 4xx and redirects, with the reason', async () => {
    for (const [code, text] of [
      [410, 'gone'],
      [404, '404'],
      [401, '401'],
      [307, 'redirects are not followed'],
    ] as const) {
      await using elsewhere = await startEndpoint(status(200))
      await using endpoint = await startEndpoint((response) =>
        response.writeHead(code, { location: elsewhere.url }).end(),
      )
      const letter = await deliver(endpoint.url)
      expect(letter).toMatchObject({
        reason: 'rejected',
        failure: { message: expect.stringContaining(text) as string },
      })
      expect([endpoint.requests.length, elsewhere.requests.length]).toEqual([1, 0])
    }
  })

  it('makes a dead letter after the last attempt, with what the endpoint said', async () => {
    await using endpoint = await startEndpoint((response) => response.writeHead(500).end('out of\norder'))
    const letter = await deliver(endpoint.url)
    const message = 'the endpoint answered 500: out of order'
    expect(letter).toMatchObject({ reason: 'failed', attempts: 3, failure: { message } })
  })

  it('does not read answers without end', async () => {
    let written = 0
    const flood = (response: ServerResponse, code: number): void => {
      response.writeHead(code)
      const more = (): void => {
        while (response.write(Buffer.alloc(65_536, 'x')) && written < 1e9) written += 65_536
        response.once('drain', more)
      }
      more()
    }
    await using endpoint = await startEndpoint((response, count) => flood(response, count === 1 ? 500 : 200))
    expect(await deliver(endpoint.url)).toMatchObject({ attempt: 2 })
    expect(written).toBeLessThan(1e8)
  })

  it('says why nothing answered, and which endpoint there is not', async () => {
    const refused = await deliver('http://127.0.0.1:1/')
    expect(refused).toMatchObject({
      failure: { message: expect.stringMatching(/no answer from endpoint shop: .+/) as string },
    })
    const webhooks = deliverer({})
    await using t = await testBundle({ actors: [webhooks] })
    const { id } = await t.troupe.send(webhooks.deliver, paid)
    expect(await ended(t, id)).toMatchObject({ failure: { message: 'there is no endpoint "shop"' } })
  })

  it('makes a dead letter of what is no event, with the path of what is wrong (P7)', async () => {
    const webhooks = deliverer({})
    await using t = await testBundle({ actors: [webhooks] })
    const bare = await connectNats({ servers: t.server.url })
    bare.publish(`${t.namespace}.do.webhooks.deliver`, '{"endpoint":"","type":"order.paid"}')
    await bare.flush()
    const { id } = await t.events.wait('dead')
    const paths = (await t.troupe.dead.show(id)).failure.issues?.map(({ path }) => path)
    expect(paths).toEqual(['endpoint', 'data'])
    await bare.close()
  })

  it('tries no second time with a secret that is none', async () => {
    const webhooks = deliverer({ shop: { url: 'http://127.0.0.1:1/', secrets: ['sesame'] } })
    await using t = await testBundle({ actors: [webhooks] })
    const { id } = await t.troupe.send(webhooks.deliver, paid)
    expect(await ended(t, id)).toMatchObject({ attempts: 1, failure: { name: 'ConfigError' } })
  })
})
