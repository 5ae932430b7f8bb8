import type { Hold, Round, Rows } from './measure.ts'
import { median, rounded } from './numbers.ts'

/** One line of the table and of the JSON file. `null`: not measured. */
export interface Line {
  readonly name: string
  readonly unit: string
  readonly value: number | null
  readonly bare: number | null
  readonly ratio: number | null
  readonly hold: string
  readonly ok: boolean | null
  readonly cpuUs: number | null
  readonly bareCpuUs: number | null
  readonly rssMb: number | null
  readonly bareRssMb: number | null
  /** Every round, so that a reader can judge the noise. */
  readonly rounds: { readonly value: readonly number[]; readonly bare: readonly number[] }
}

/** The medians of a row and whether they hold. */
export function line({ name, unit, hold, rounds }: Rows): Line {
  const value = middle(rounds.troupe, 'value')
  const bare = middle(rounds.bare, 'value')
  return {
    name,
    unit,
    value,
    bare,
    ratio: value === null || bare === null || bare === 0 ? null : rounded(value / bare),
    hold: holdText(hold),
    ok: value === null ? null : holds(hold, value, bare),
    cpuUs: middle(rounds.troupe, 'cpuUs'),
    bareCpuUs: middle(rounds.bare, 'cpuUs'),
    rssMb: middle(rounds.troupe, 'rssMb'),
    bareRssMb: middle(rounds.bare, 'rssMb'),
    rounds: { value: values(rounds.troupe), bare: values(rounds.bare) },
  }
}

function values(rounds: readonly Round[]): number[] {
  return rounds.map((round) => rounded(round.value))
}

function middle(rounds: readonly Round[], field: keyof Round): number | null {
  const known = rounds.flatMap((round) => round[field] ?? [])
  return known.length === 0 ? null : rounded(median(known))
}

function holds(hold: Hold, value: number, bare: number | null): boolean | null {
  if (hold.kind === 'none') return null
  if (hold.kind === 'limit') return value <= Math.max(hold.atMost, (hold.orOfBare ?? 0) * (bare ?? 0))
  if (bare === null) return null
  return hold.kind === 'share' ? value >= hold.atLeast * bare : value <= bare + hold.atMost
}

function holdText(hold: Hold): string {
  if (hold.kind === 'none') return ''
  if (hold.kind === 'limit')
    return `≤ ${hold.atMost}${hold.orOfBare === undefined ? '' : `, or ${hold.orOfBare} × bare`}`
  return hold.kind === 'share' ? `≥ ${hold.atLeast * 100} % of bare` : `≤ bare + ${hold.atMost}`
}

/** The lines as a table for people. */
export function table(lines: readonly Line[]): string {
  const head = ['measure', 'troupe', 'bare', 'unit', 'ratio', 'must hold', '', 'CPU µs', 'bare', 'RSS MiB', 'bare']
  const rows = [head, ...lines.map(cells)]
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => row.map((cell, column) => aligned(cell, widths[column] ?? 0, column)).join('  ')).join('\n')
}

function cells(each: Line): string[] {
  const verdict = each.ok === null ? '' : each.ok ? 'ok' : 'NOT'
  const measured = [shown(each.value), shown(each.bare), each.unit, shown(each.ratio), each.hold, verdict]
  return [each.name, ...measured, ...[each.cpuUs, each.bareCpuUs, each.rssMb, each.bareRssMb].map(shown)]
}

function shown(value: number | null): string {
  return value === null ? '–' : value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 2 : 0 })
}

const textColumns = new Set([0, 3, 5, 6])

function aligned(cell: string, width: number, column: number): string {
  return textColumns.has(column) ? cell.padEnd(width) : cell.padStart(width)
}
