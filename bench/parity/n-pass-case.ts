// Two passes over lists: what the first lets through, the final order, and what it is worth, for several k.
import { basename } from 'node:path'
import {
  finalNdcg,
  lastScored,
  meanOfLists,
  recallOfOwnBest,
  recallOfPasses,
  startPasses,
  takePass,
} from '../../src/metrics/index.ts'
import { Check, type Finding } from './report.ts'

type ByList = (number | null)[]

/** Of one k; `recall_of_second_pass_top<n>` and `ndcg@<n>` say by their names how many documents count. */
type Cut = { survivors: number[][]; final_order: number[][]; second_pass_documents: number } & Record<
  string,
  ByList
> & { mean: Record<string, number> }

export interface NPassCase {
  starts: number[]
  labels: number[]
  first: number[]
  second: number[]
  cuts: Record<string, Cut>
}

export const isNPass = (frozen: Record<string, unknown>): boolean =>
  ['starts', 'labels', 'first', 'second'].every(key => Array.isArray(frozen[key])) &&
  typeof frozen.cuts === 'object'

export function checkNPassCase(
  folder: string,
  { starts, labels, first, second, cuts }: NPassCase,
): Finding[] {
  const orders = new Check(`${basename(folder)}/orders`, 0)
  const figures = new Check(`${basename(folder)}/figures`, 1e-9)
  for (const [k, cut] of Object.entries(cuts)) {
    const order = startPasses(starts)
    takePass(order, first, Number(k))
    const passed = Array.from(order.kept, (kept, list) => {
      const own = order.documents.slice(starts[list], starts[list]! + kept)
      return Array.from(own).sort((a, b) => a - b)
    })
    takePass(order, second)
    const lists = starts.slice(1).map((end, list) => Array.from(order.documents.slice(starts[list], end)))
    const same = (name: string, actual: number[][], wanted: number[][]) => {
      // Frozen numbers count within their list.
      const own = actual.map((list, l) => list.map(one => one - starts[l]!))
      orders.add(
        `k = ${k}: ${name}`,
        JSON.stringify(own) === JSON.stringify(wanted) ? 0 : Number.POSITIVE_INFINITY,
      )
    }
    same('survivors', passed, cut.survivors)
    same('final order', lists, cut.final_order)
    orders.add(`k = ${k}: documents`, Math.abs(lastScored(order) - cut.second_pass_documents))
    for (const [name, mean] of Object.entries(cut.mean)) {
      const found = measure(name)(order, labels, second)
      for (const [list, wanted] of cut[name]!.entries())
        figures.add(
          `k = ${k}: ${name}, list ${list}`,
          wanted === null
            ? Number.isNaN(found[list]!)
              ? 0
              : Number.POSITIVE_INFINITY
            : Math.abs(found[list]! - wanted),
        )
      figures.add(`k = ${k}: mean ${name}`, Math.abs(meanOfLists(found).mean - mean))
    }
  }
  return [...orders.done(), ...figures.done()]
}

type Measure = (order: ReturnType<typeof startPasses>, labels: number[], second: number[]) => Float64Array

/** By the names of the frozen values. */
function measure(name: string): Measure {
  const own = /^recall_of_second_pass_top(\d+)$/.exec(name)
  if (own) return (order, _, second) => recallOfOwnBest(order, second, Number(own[1]))
  const ndcg = /^ndcg@(\d+)$/.exec(name)
  if (ndcg) return (order, labels) => finalNdcg(order, labels, Number(ndcg[1]))
  if (name === 'recall') return recallOfPasses
  return order => new Float64Array(order.starts.length - 1).fill(Number.NaN)
}
