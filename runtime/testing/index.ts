/** `troupe/testing`: what people test their actors with. */
export {
  testContext,
  type RecordedLine,
  type RecordedMessage,
  type TestContext,
  type TestContextOptions,
  type TestSchedule,
} from './context.ts'
export { testSystem, type TestSystem, type TestSystemOptions } from './system.ts'
export type { SettledOptions } from './settled.ts'
export type { AdvanceOptions, TestClock } from './movedClock.ts'
export type { Death, RecordedEvent } from './recorder.ts'
export { manualClock, type ManualClock } from '../time/manualClock.ts'
