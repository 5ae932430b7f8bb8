/** Calendar rules in words. */

import { formatInterval, type ResolvedCalendar } from '../calendar.ts'
import { readTimeOfDay } from '../moments.ts'
import { monthNames, weekdayNames } from '../names.ts'
import { listed, months, place, timesOfDay, weekdays } from './phrases.ts'

/** Phrases: times, days, months, interval. */
export function calendarWords(calendar: ResolvedCalendar): string[] {
  const { at, month, every, anchor } = calendar
  const days = dayWords(calendar)
  const interval = every === undefined ? undefined : `every ${formatInterval(every)}`
  return [
    `at ${timesOfDay(at.map((time) => readTimeOfDay(time, 'at')))}`,
    ...(days === undefined && interval === undefined ? ['every day'] : []),
    ...(days === undefined ? [] : [days]),
    ...(month === undefined ? [] : [`in ${months(month.map((name) => monthNames.indexOf(name) + 1))}`]),
    ...(interval === undefined ? [] : [anchor === undefined ? interval : `${interval} from ${anchor}`]),
  ]
}

function dayWords({ weekday, nth, dayOfMonth, workday }: ResolvedCalendar): string | undefined {
  const names = weekday?.map((name) => weekdayNames.indexOf(name))
  const parts = [
    ...(names === undefined ? [] : [nth === undefined ? weekdays(names) : nthWords(names, nth)]),
    ...(dayOfMonth === undefined ? [] : [`on the ${monthDayWords(dayOfMonth)} of the month`]),
    ...(workday === undefined ? [] : [`on the ${places(workday)} Monday-to-Friday day of the month`]),
  ]
  return parts.length === 0 ? undefined : parts.join(' ')
}

/** From the beginning first, then from the end. */
const inOrder = (numbers: readonly number[]): number[] => [
  ...numbers.filter((number) => number > 0),
  ...numbers.filter((number) => number < 0),
]

const places = (numbers: readonly number[]): string => listed(inOrder(numbers).map(place))

const monthDayWords = (numbers: readonly number[]): string =>
  listed(inOrder(numbers).map((number) => (number > 0 ? place(number) : `${place(number)} day`)))

const nthWords = (names: readonly number[], nth: readonly number[]): string =>
  `the ${places(nth)} ${weekdays(names)} of the month`
