/**
 * What BullMQ does in some measures of `npm run bench`, for the comparison in README. Neither it nor Redis is a dependency:
 *
 *     redis-server --appendonly yes --appendfsync everysec
 *     npm install --no-save bullmq && node test/bench/others/bullmq.mjs redis://127.0.0.1:6379
 *
 * As there: 200-byte payloads, a process that sends and one that works, handlers that do nothing.
 */
import { fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

import { Queue, Worker } from 'bullmq'

const COUNT = 30_000
const IN_FLIGHT = 512
const payload = { text: 'x'.repeat(180) }
const [, program, url = '', role = 'sender', name = '', concurrency = '1'] = process.argv
const connection = { host: new URL(url).hostname, port: Number(new URL(url).port), maxRetriesPerRequest: null }

if (role === 'worker') await work()
else await measureAll()

async function work() {
  const seen = { count: 0, lastAt: 0, lateMs: [] }
  const worker = new Worker(
    name,
    async ({ data: { due } }) => {
      seen.count++
      seen.lastAt = Date.now()
      if (due !== undefined) seen.lateMs.push(Date.now() - due)
    },
    { connection, concurrency: Number(concurrency) },
  )
  await worker.waitUntilReady()
  process.on('message', () => process.send?.(seen))
  process.on('disconnect', () => process.exit(0))
  process.send?.('ready')
}

async function measureAll() {
  await withQueue('send', async (queue) => {
    await sendAll(queue, 5_000)
    const from = performance.now()
    await sendAll(queue, COUNT)
    tell('send', `${rate(COUNT, performance.now() - from)}/s`)
    await queue.obliterate({ force: true })
  })
  for (const slots of [50, 200, 500]) {
    await withQueue(`drain${slots}`, async (queue) => {
      await sendAll(queue, COUNT)
      const worker = await startWorker(queue.name, slots)
      const begun = await worker.until(COUNT / 5)
      const ended = await worker.until(COUNT)
      worker.stop()
      tell(`drain, concurrency ${slots}`, `${rate(ended.count - begun.count, ended.lastAt - begun.lastAt)}/s`)
    })
  }
  await withQueue('end-to-end', async (queue) => {
    const worker = await startWorker(queue.name, 200)
    const from = Date.now()
    await sendAll(queue, COUNT)
    const { lastAt } = await worker.until(COUNT)
    worker.stop()
    tell('end-to-end', `${rate(COUNT, lastAt - from)}/s`)
  })
  await withQueue('latency', async (queue) => {
    const worker = await startWorker(queue.name, 50)
    for (let sent = 0; sent < 1_200; sent++) {
      void queue.add('go', { ...payload, due: Date.now() })
      await sleep(10)
    }
    const { lateMs } = await worker.until(1_200)
    worker.stop()
    tell('latency', `p50 ${percentile(lateMs.slice(200), 0.5)} ms, p99 ${percentile(lateMs.slice(200), 0.99)} ms`)
  })
  await withQueue('late', async (queue) => {
    const worker = await startWorker(queue.name, 50)
    const from = Date.now() + 2_000
    for (let sent = 0; sent < 500; sent++) await delayed(queue, from + Math.round(Math.random() * 5_000))
    const { lateMs } = await worker.until(500)
    worker.stop()
    tell('late', `p99 ${percentile(lateMs, 0.99)} ms, early ${lateMs.filter((ms) => ms < 0).length}`)
  })
  await withQueue('burst', async (queue) => {
    const worker = await startWorker(queue.name, 500)
    const due = Date.now() + 6_000
    await Promise.all(Array.from({ length: 5_000 }, () => delayed(queue, due)))
    const { lastAt } = await worker.until(5_000)
    worker.stop()
    tell('burst', `${lastAt - due} ms`)
  })
}

async function withQueue(of, measure) {
  const queue = new Queue(of, { connection, defaultJobOptions: { removeOnComplete: true, removeOnFail: true } })
  await queue.waitUntilReady()
  await measure(queue)
  await queue.close()
}

/** One promise each, so many at once. */
async function sendAll(queue, count) {
  let left = count
  const one = async () => {
    while (left-- > 0) await queue.add('go', payload)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, one))
}

function delayed(queue, due) {
  return queue.add('go', { ...payload, due }, { delay: due - Date.now() })
}

async function startWorker(of, slots) {
  const child = fork(program ?? '', [url, 'worker', of, String(slots)], { serialization: 'advanced' })
  const said = () => new Promise((resolve) => child.once('message', resolve))
  await said()
  return {
    /** Resolves with what it has seen when it has run so many. */
    async until(count) {
      for (;;) {
        const heard = said()
        child.send('look')
        const seen = await heard
        if (seen.count >= count) return seen
        await sleep(20)
      }
    },
    stop: () => child.disconnect(),
  }
}

function rate(count, ms) {
  return Math.round(count / (ms / 1_000)).toLocaleString('en')
}

function percentile(values, share) {
  return values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)]
}

function tell(measure, value) {
  console.log(`${measure.padEnd(24)} ${value}`)
}
