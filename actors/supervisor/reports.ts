/** What supervisors report, as events and log lines: one row each. */
import { toFailure } from '../../runtime/errors.ts'
import type { Report } from '../../runtime/supervision/report.ts'
import { formatDuration } from '../../runtime/time/duration.ts'
import type { SupervisorActorHost } from './supervisor.ts'

export function tellReport(host: SupervisorActorHost, report: Report): void {
  const { log } = host
  const { supervisor, child } = report
  const about = { supervisor, child }
  switch (report.kind) {
    case 'started':
      if (report.life > 1) log.info('restarted', { ...about, life: report.life })
      return host.tell('child-started', { ...about, life: report.life })
    case 'stopped':
      return host.tell('child-stopped', about)
    case 'ended': {
      const { upMs, exit } = report
      const failure = exit.kind === 'normal' || exit.error === undefined ? {} : { failure: toFailure(exit.error) }
      log.info('ended by itself', { ...about, ...failure })
      return host.tell('child-ended', {
        ...about,
        how: exit.kind === 'normal' ? 'normal' : 'shutdown',
        upMs,
        ...failure,
      })
    }
    case 'failed':
      log.error('failed', { ...about, error: report.error })
      return host.tell('child-failed', { ...about, failure: toFailure(report.error), upMs: report.upMs })
    case 'start-failed':
      log.error('could not be started', { ...about, tries: report.tries, error: report.error })
      return host.tell('child-start-failed', { ...about, failure: toFailure(report.error), tries: report.tries })
    case 'restarting': {
      const { strategy, stop, start, afterMs, restarts } = report
      log.warn(`will be restarted in ${formatDuration(afterMs)}`, { ...about, strategy, stop, start, restarts })
      return host.tell('child-restarting', { ...about, strategy, stop, start, afterMs, restarts })
    }
    case 'stop-failed':
      log.error('did not stop and was left behind', { ...about, error: report.error })
      return host.tell('child-stop-failed', { ...about, failure: toFailure(report.error) })
    case 'gave-up':
      log.error('gave up', { ...about, error: report.error })
      return host.tell('supervisor-gave-up', { ...about, failure: toFailure(report.error) })
    case 'shut-down':
      log.info('shuts down, since significant actors have ended', about)
      return host.tell('supervisor-shut-down', about)
    default:
      return report satisfies never
  }
}
