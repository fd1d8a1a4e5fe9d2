// Lists of documents with clicks, checked.
import { expectTensors } from '../autograd/checks.ts'
import type { Tensor } from '../autograd/index.ts'
import { expectNumber, expectNumbers, expectOptions, type Range, toUints } from '../check.ts'
import { DataError, ShapeError } from '../errors.ts'
import { checkStarts, listsOf, perDocument } from './lists.ts'

/** Documents that were shown, list after list, and which of them were clicked. */
export interface ClickLists {
  /** [N], 1 where clicked and 0 elsewhere. */
  clicks: ArrayLike<number>
  /** [N], the place of each document, from 0: its row in tables by position. What looks nothing up needs none. */
  positions?: ArrayLike<number>
  /** [lists + 1], where each list starts, as a batch's `list` input has it. */
  starts: Uint32Array | readonly number[]
}

/** A loss's arguments, checked. */
export interface Lists {
  name: string
  N: number
  clicks: Float32Array
  positions: Uint32Array | undefined
  starts: Uint32Array
  /** [N], the list of each document. */
  listOf: Uint32Array
  /** [N] scores float32, and [N] logits of examination where the loss takes them. */
  scores: Tensor
  examination: Tensor | undefined
}

const KNOWN = ['clicks', 'positions', 'starts']
const CLICK: Range = { says: '0 or 1', takes: x => x === 0 || x === 1 }

/**
 * @throws ArgumentError, ShapeError or ConfigError for what is no such tensor or array, or has another length; DataError for a list without
 * documents
 */
export function checkLists(
  name: string,
  given: ClickLists,
  scores: Tensor,
  examination?: { logits: Tensor },
): Lists {
  expectTensors(name, examination ? { scores, examination: examination.logits } : { scores })
  expectOptions(`${name}: lists`, given, KNOWN)
  const N = scores.size
  const s = perDocument(name, 'scores', scores, N)
  const e = examination && perDocument(name, 'examination', examination.logits, N)
  expectNumbers(`${name}: clicks`, given.clicks)
  const clicks = Float32Array.from(given.clicks)
  for (let i = 0; i < clicks.length; i++) expectNumber(`${name}: clicks[${i}]`, clicks[i], CLICK)
  expectLength(`${name}: clicks`, clicks, N)
  const positions =
    given.positions === undefined ? undefined : toUints(`${name}: positions`, Array.from(given.positions))
  if (positions) expectLength(`${name}: positions`, positions, N)
  const starts = checkStarts(name, given.starts, N)
  return { name, N, clicks, positions, starts, listOf: listsOf(starts), scores: s, examination: e }
}

function expectLength(what: string, values: ArrayLike<number>, N: number): void {
  if (values.length !== N)
    throw new ShapeError(`${what} has ${values.length} values, expected ${N}, one a document`)
}

/** The positions of documents, which a table of `rows` rows must hold. */
export function positionsOf({ name, positions }: Lists, rows: number): Uint32Array {
  if (!positions)
    throw new ShapeError(`${name}: lists has no positions, expected the place of every document from 0`)
  const wrong = positions.findIndex(position => position >= rows)
  if (wrong >= 0)
    throw new DataError(
      `${name}: positions[${wrong}] is ${positions[wrong]}, expected 0 to ${rows - 1}: the table has ${rows} rows`,
    )
  return positions
}
