// Rows and groups of lists that come in pieces.
import { shown } from '../check.ts'
import { DataError } from '../errors.ts'
import type { Numbers } from './check.ts'

/** Numbers that come in pieces, a multiple of what plain arrays take less: their room doubles when it is full. */
export class Growing {
  #room = new Float64Array(1024)
  length = 0

  add(values: Numbers): void {
    const length = this.length + values.length
    if (length > this.#room.length) {
      const room = new Float64Array(Math.max(length, 2 * this.#room.length))
      room.set(this.values)
      this.#room = room
    }
    this.#room.set(values, this.length)
    this.length = length
  }

  /** Those so far, until more are added. */
  get values(): Float64Array {
    return this.#room.subarray(0, this.length)
  }
}

/** Where some lists would start if there were no others. */
export function startsOf(starts: Uint32Array, lists: readonly number[]): Uint32Array {
  const own = new Uint32Array(lists.length + 1)
  lists.forEach((list, i) => {
    own[i + 1] = own[i]! + starts[list + 1]! - starts[list]!
  })
  return own
}

/** The values of some lists' rows, list after list. */
export function rowsOf(values: Float64Array, starts: Uint32Array, lists: readonly number[]): Float64Array {
  const own = startsOf(starts, lists)
  const out = new Float64Array(own.at(-1)!)
  lists.forEach((list, i) => {
    out.set(values.subarray(starts[list], starts[list + 1]), own[i])
  })
  return out
}

/**
 * The name of each list's group.
 * @param groups a value a document.
 * @throws DataError naming the row whose group is another than its list's, or an object
 */
export function groupNames(
  { labels, starts, rows }: { labels: Numbers; starts: Numbers; rows?: Numbers },
  groups: ArrayLike<unknown>,
): string[] {
  if (groups.length !== labels.length)
    throw new DataError(`ListEvaluation: ${labels.length} documents need a group each, got ${groups.length}`)
  return Array.from({ length: starts.length - 1 }, (_, list) => {
    const group = groups[starts[list]!]
    if (typeof group === 'object' && group !== null)
      throw new DataError(
        `row ${rows?.[starts[list]!] ?? starts[list]} has the group ${shown(group)}, expected a number or text`,
      )
    for (let i = starts[list]!; i < starts[list + 1]!; i++)
      if (!Object.is(groups[i], group))
        throw new DataError(
          `row ${rows?.[i] ?? i} has the group ${shown(groups[i])} and the first row of its list ${shown(group)}, expected one group a list`,
        )
    return String(group)
  })
}
