/** Runs vitest with the folder's configuration and ends with one plain line that any reader of CI output understands. */
import { startVitest } from 'vitest/node'

const filters = process.argv.slice(2)
const vitest = await startVitest('test', filters, { config: 'test/vitest.config.ts', watch: false, run: true })
const tests = vitest.state.getFiles().flatMap(function collect(task) {
  return task.type === 'test' ? [task] : (task.tasks ?? []).flatMap(collect)
})
const count = (state) => tests.filter((test) => test.result?.state === state).length
const broken = vitest.state.getFiles().filter((file) => file.result?.state === 'fail' && file.tasks.length === 0).length
const unhandled = vitest.state.getUnhandledErrors().length
const failed = count('fail') + broken + unhandled
const skipped = tests.filter((test) => test.mode === 'skip' || test.mode === 'todo').length
await vitest.close()
console.log(`\n${count('pass')} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exit(failed > 0 || count('pass') === 0 ? 1 : 0)
