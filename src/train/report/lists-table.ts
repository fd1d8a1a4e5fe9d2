// How well lists are ordered by what they have in common, in figures.
import type { RunReport } from './data.ts'
import { type Column, formatted, table } from './tables.ts'

/** Groups that a table has room for: there may be one for each user. */
const SHOWN_PARTS = 40

/** nDCG@10 by length of the lists, and by group, of every run that has lists. */
export function listsTable(reports: readonly RunReport[]): string {
  const ranked = reports.filter(({ lists }) => lists)
  const parts = (title: string, of: 'by_length' | 'by_group', head: string): string => {
    const names = [...new Set(ranked.flatMap(({ lists }) => lists![of].map(({ name }) => name)))]
    if (!names.length) return ''
    const all = names.length
    const part = (report: RunReport, name: string) => report.lists![of].find(one => one.name === name)
    const columns: Column<string>[] = [
      { title: head, cell: name => ({ text: name }) },
      {
        title: 'Lists',
        number: true,
        cell: name => ({ text: told(ranked.map(report => part(report, name)?.lists ?? 0)) }),
      },
      {
        title: 'Without positives',
        number: true,
        cell: name => ({ text: told(ranked.map(report => part(report, name)?.left_out ?? 0)) }),
      },
      ...ranked.map(report => ({
        title: ranked.length > 1 ? report.name : 'nDCG@10',
        number: true,
        cell: (name: string) => ({ text: formatted('ndcg@10', part(report, name)?.ndcg) }),
      })),
    ]
    const lists = (name: string) => ranked.reduce((sum, report) => sum + (part(report, name)?.lists ?? 0), 0)
    const largest = new Set([...names].sort((a, b) => lists(b) - lists(a)).slice(0, SHOWN_PARTS))
    const more = all > SHOWN_PARTS ? `, the largest ${SHOWN_PARTS} of ${all.toLocaleString('en-US')}` : ''
    return table(
      title + more,
      columns,
      names.filter(name => largest.has(name)),
    )
  }
  return [
    parts('nDCG@10 by length of the lists', 'by_length', 'Documents'),
    parts('nDCG@10 by group', 'by_group', 'Group'),
  ]
    .filter(Boolean)
    .join('\n')
}

/** One number, or those of runs on other data. */
const told = (counts: number[]): string => [...new Set(counts.map(n => n.toLocaleString('en-US')))].join(', ')
