/** A service in Go, with nats.go; skipped with the reason where the machine has none. */
import { openChild } from './clients/child.ts'
import { goClient } from './clients/languages.ts'
import { isAbsent, speaks } from './scenario/speaks.ts'

const { program, reason } = await goClient()

if (program === undefined) isAbsent('Go', reason)
else speaks('a service in Go', ({ server, namespace }) => openChild(program, server.url, namespace))
