// What a report draws of an evaluation of lists.
import { meanOfLists, ndcg, type Ranked } from './ranking-lists.ts'

/** Lists that have something in common, and how well they are ordered. */
export interface ListsPart {
  /** 'all' lists, a group, or how long they are: '2', '3-4', '5-8'. */
  name: string
  lists: number
  /** Of them those without positives, which do not count. */
  left_out: number
  /** nDCG@10 of the others; null where there is none. */
  ndcg: number | null
}

/** How well lists are ordered, by rank, by length and by group. */
export interface ListCurves {
  /** nDCG@k, from k = 1 to the longest list's length, 20 at most; null where no list has a positive. */
  ndcg: (number | null)[]
  by_length: ListsPart[]
  /** Empty without groups. */
  by_group: ListsPart[]
}

const LONGEST = 20

/** @param groups a value a list, where there are some. */
export function listCurves(ranked: Ranked, groups: readonly unknown[] = []): ListCurves {
  const { starts } = ranked
  const lengths = Array.from(starts.subarray(1), (end, list) => end - starts[list]!)
  const most = Math.min(
    LONGEST,
    lengths.reduce((a, b) => Math.max(a, b), 0),
  )
  const at10 = ndcg(ranked, { k: 10 })
  const collate = new Intl.Collator('en', { numeric: true })
  const parts = (nameOf: (list: number) => string): ListsPart[] => {
    const own = new Map<string, number[]>()
    lengths.forEach((_, list) => {
      const name = nameOf(list)
      const values = own.get(name)
      if (values) values.push(at10[list]!)
      else own.set(name, [at10[list]!])
    })
    return [...own]
      .sort(([a], [b]) => collate.compare(a, b))
      .map(([name, values]) => {
        const { mean, left_out } = meanOfLists(values)
        return { name, lists: values.length, left_out, ndcg: orNull(mean) }
      })
  }
  return {
    ndcg: Array.from({ length: most }, (_, i) => orNull(meanOfLists(ndcg(ranked, { k: i + 1 })).mean)),
    by_length: parts(list => lengthClass(lengths[list]!)),
    by_group: groups.length ? parts(list => String(groups[list])) : [],
  }
}

const orNull = (value: number) => (Number.isNaN(value) ? null : Number(value.toFixed(6)))

/** '0', '1', '2', '3-4', '5-8', … */
export function lengthClass(length: number): string {
  if (length < 3) return String(length)
  const to = 2 ** Math.ceil(Math.log2(length))
  return `${to / 2 + 1}-${to}`
}
