import { DataError } from '../errors.ts'
import { checkPairs, checkSome, type Numbers, rowsOf } from './check.ts'
import { rocAucSorted } from './ranking.ts'

/** Code of a row that belongs to no group. */
const NO_GROUP = 0xffff_ffff

/** AUC within groups. */
export interface GroupedAuc {
  /** Mean of the groups' ROC AUC, each weighted by its rows; NaN where no group counts. */
  gauc: number
  /** Groups that count: those with a clicked row and another. */
  gauc_groups: number
  /** Rows of the groups that count. */
  gauc_rows: number
}

/**
 * ROC AUC within each group (a user, a query), averaged with the groups' rows as weights. Groups whose rows are all clicked or
 * all not have no AUC and are left out.
 * @param groups any value per row (a number, text, a bigint); rows with null or NaN belong to no group, as in pandas' groupby.
 * @throws DataError on no rows, unequal lengths, another label, a NaN score, or a group that is an object.
 * @see Zhou et al., Deep Interest Network for Click-Through Rate Prediction, section 5.3
 */
export function groupedAuc(labels: Numbers, scores: Numbers, groups: ArrayLike<unknown>): GroupedAuc {
  checkSome(rowsOf(labels, 'groupedAuc'), 'groupedAuc')
  checkPairs(labels, scores, 1, 'groupedAuc')
  const codes = new Uint32Array(labels.length)
  const known = new Map<unknown, number>()
  encodeGroups(groups, labels.length, known, codes)
  return groupedAucOfCodes(labels, scores, codes, known.size)
}

/**
 * Numbers the groups in the order they appear.
 * @param known the numbers given so far; new groups are added.
 * @param codes receives a number per row.
 */
export function encodeGroups(
  groups: ArrayLike<unknown>,
  rows: number,
  known: Map<unknown, number>,
  codes: Uint32Array,
  firstRow = 0,
): void {
  if (groups.length !== rows) throw new DataError(`${rows} rows need a group each, got ${groups.length}`)
  for (let i = 0; i < rows; i++) {
    const group = groups[i]
    if (group === null || group === undefined || Number.isNaN(group)) {
      codes[i] = NO_GROUP
      continue
    }
    if (typeof group === 'object') {
      throw new DataError(
        `row ${firstRow + i} has the group ${JSON.stringify(group)}, expected a number or text`,
      )
    }
    const code = known.get(group) ?? known.size
    if (code === known.size) known.set(group, code)
    codes[i] = code
  }
}

/** {@link groupedAuc} of groups numbered from 0 to `count` - 1. */
export function groupedAucOfCodes(
  labels: Numbers,
  scores: Numbers,
  codes: Uint32Array,
  count: number,
): GroupedAuc {
  // Rows are brought together by a counting sort: a group's clicked rows first, then its others.
  const starts = new Uint32Array(2 * count + 1)
  for (let i = 0; i < codes.length; i++) if (codes[i] !== NO_GROUP) starts[2 * codes[i]! + 2 - labels[i]!]!++
  for (let i = 1; i < starts.length; i++) starts[i]! += starts[i - 1]!
  const next = starts.slice()
  const Values = scores instanceof Float32Array ? Float32Array : Float64Array
  const gathered = new Values(starts.at(-1)!)
  for (let i = 0; i < codes.length; i++)
    if (codes[i] !== NO_GROUP) gathered[next[2 * codes[i]! + 1 - labels[i]!]!++] = scores[i]!
  let [sum, rows, counted] = [0, 0, 0]
  for (let group = 0; group < count; group++) {
    const [start, middle, end] = [starts[2 * group]!, starts[2 * group + 1]!, starts[2 * group + 2]!]
    if (middle === start || end === middle) continue
    const positives = gathered.subarray(start, middle).sort()
    const negatives = gathered.subarray(middle, end).sort()
    sum += (end - start) * rocAucSorted({ positives, negatives })
    rows += end - start
    counted++
  }
  return { gauc: sum / rows, gauc_groups: counted, gauc_rows: rows }
}
