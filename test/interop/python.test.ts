/** A service in Python 3, with nats-py; skipped with the reason where the machine has none. */
import { openChild } from './clients/child.ts'
import { pythonClient } from './clients/languages.ts'
import { isAbsent, speaks } from './scenario/speaks.ts'

const { program, reason } = await pythonClient()

if (program === undefined) isAbsent('Python', reason)
else speaks('a service in Python', ({ server, namespace }) => openChild(program, server.url, namespace))
