// Measures of order, list by list and as means, by every convention.
import { basename } from 'node:path'
import {
  averagePrecision,
  baiduFigures,
  dcg,
  hitAt,
  meanOfLists,
  mrr,
  ndcg,
  pnr,
  precisionAt,
  type Ranked,
  rankLists,
  recallAt,
} from '../../src/metrics/index.ts'
import { Check, type Finding } from './report.ts'

export interface RankingCase {
  cases: {
    tag: string
    starts: number[]
    labels: number[]
    scores: number[]
    pnr?: number
    at: Record<
      string,
      {
        lists: Record<string, number | null>[]
        mean: Record<string, Record<'skip' | 'zero' | 'one', number | null>>
        baidu?: Record<'dcg' | 'ndcg' | 'err', number | null>
      }
    >
  }[]
}

/** By the names of the frozen values. */
function measures(ranked: Ranked, k: number): Record<string, Float64Array> {
  const out: Record<string, Float64Array> = {
    mrr: mrr(ranked, k),
    map: averagePrecision(ranked, k),
    recall: recallAt(ranked, k),
    precision: precisionAt(ranked, k),
    hit: hitAt(ranked, k),
  }
  for (const gain of ['exp', 'linear'] as const)
    for (const ties of ['stable', 'mean'] as const) {
      const name = ties === 'mean' ? `${gain}_ties` : gain
      out[`dcg_${name}`] = dcg(ranked, { k, gain, ties })
      out[`ndcg_${name}`] = ndcg(ranked, { k, gain, ties })
    }
  return out
}

export function checkRankingCase(folder: string, { cases }: RankingCase): Finding[] {
  const check = new Check(`${basename(folder)}/lists`, 1e-9)
  const means = new Check(`${basename(folder)}/means`, 1e-9)
  // What says nothing is NaN here and null there.
  const note = (to: Check, name: string, actual: number, wanted: number | null) =>
    to.add(
      name,
      wanted === null ? (Number.isNaN(actual) ? 0 : Number.POSITIVE_INFINITY) : Math.abs(actual - wanted),
    )
  for (const { tag, starts, labels, scores, at, pnr: pairs } of cases) {
    const ranked = rankLists(labels, scores, starts)
    if (pairs !== undefined) note(means, `${tag} pnr`, pnr(ranked), pairs)
    for (const [k, { lists, mean, baidu }] of Object.entries(at)) {
      const found = measures(ranked, Number(k))
      for (const [name, wanted] of Object.entries(mean)) {
        const values = found[name] ?? new Float64Array(lists.length).fill(Number.NaN)
        for (const [list, one] of lists.entries())
          note(check, `${tag} ${name}@${k}, list ${list}`, values[list]!, one[name]!)
        for (const without of ['skip', 'zero', 'one'] as const)
          note(means, `${tag} ${name}@${k}, ${without}`, meanOfLists(values, without).mean, wanted[without])
      }
      if (!baidu) continue
      const own = baiduFigures(ranked, Number(k))
      for (const [name, wanted] of Object.entries(baidu))
        note(means, `${tag} Baidu's ${name}@${k}`, own[name as keyof typeof own], wanted)
    }
  }
  return [...check.done(), ...means.done()]
}
