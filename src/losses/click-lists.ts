// Lists of documents with clicks, checked, and what losses make of them on the host.
import { expectTensors } from '../autograd/checks.ts'
import { reshape, segmentLogSumExp, sub, type Tensor, takeRows, tensor } from '../autograd/index.ts'
import { expectNumber, expectNumbers, expectOptions, type Range, toUints } from '../check.ts'
import { DataError, ShapeError } from '../errors.ts'

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
  const flat = (what: string, x: Tensor) => {
    const fits = x.size === N && (x.shape.length === 1 || (x.shape.length === 2 && x.shape[1] === 1))
    if (!fits || N === 0)
      throw new ShapeError(`${name}: ${what} has shape [${x.shape}], expected ${N ? `[${N}]` : 'a document'}`)
    return reshape(x, [N])
  }
  const [s, e] = [flat('scores', scores), examination && flat('examination', examination.logits)]
  expectNumbers(`${name}: clicks`, given.clicks)
  const clicks = Float32Array.from(given.clicks)
  for (let i = 0; i < clicks.length; i++) expectNumber(`${name}: clicks[${i}]`, clicks[i], CLICK)
  expectLength(`${name}: clicks`, clicks, N)
  const positions =
    given.positions === undefined ? undefined : toUints(`${name}: positions`, Array.from(given.positions))
  if (positions) expectLength(`${name}: positions`, positions, N)
  const starts = toUints(`${name}: starts`, given.starts)
  const listOf = new Uint32Array(N)
  if (starts.length < 2 || starts[0] !== 0 || starts.at(-1) !== N)
    throw new ShapeError(
      `${name}: starts goes from ${starts[0]} to ${starts.at(-1)} in ${starts.length} numbers, expected 0 to ${N}, [lists + 1]`,
    )
  for (let list = 0; list + 1 < starts.length; list++) {
    if (starts[list + 1]! < starts[list]!)
      throw new ShapeError(
        `${name}: starts[${list + 1}] is ${starts[list + 1]} and the one before ${starts[list]}, expected no fall`,
      )
    if (starts[list + 1] === starts[list])
      throw new DataError(
        `${name}: list ${list} has no documents: starts[${list}] and starts[${list + 1}] are ${starts[list]}; leave it out`,
      )
    listOf.fill(list, starts[list], starts[list + 1])
  }
  return { name, N, clicks, positions, starts, listOf, scores: s, examination: e }
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

/** Rows of a [N] tensor as [n]. */
export const pick = (x: Tensor, rows: Uint32Array): Tensor =>
  reshape(takeRows(reshape(x, [x.size, 1]), rows), [rows.length])

/** [N], the logarithm of each list's softmax. */
export const listLogSoftmax = (x: Tensor, { starts, listOf }: Lists): Tensor =>
  sub(x, pick(segmentLogSumExp(x, starts), listOf))

/** Numbers of the host beside a tensor. */
export const beside = (x: Tensor, values: Float32Array): Tensor => tensor(x.gpu, values, [values.length])
