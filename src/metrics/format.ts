/** Values rounded to 3 digits for display; 'n/a' for NaN, and for null, which JSON makes of it. Never for storage. */
export function formatMetrics<K extends string>(metrics: Record<K, number | null>): Record<K, string> {
  const shown = Object.entries<number | null>(metrics).map(([name, value]) => [
    name,
    value === null || Number.isNaN(value) ? 'n/a' : formatMetric(name, value),
  ])
  return Object.fromEntries(shown)
}

// Numbers of groups, rows and lists are whole.
const formatMetric = (name: string, value: number) =>
  /_(groups|rows)$|^lists(_left_out)?( |$)/.test(name) ? value.toLocaleString('en-US') : value.toFixed(3)
