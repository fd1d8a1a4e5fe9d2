// Documents list after list, as every loss of lists takes them: checked, and what is made of them on host and device.
import { expectTensor } from '../autograd/checks.ts'
import { reshape, type Tensor, takeRows, tensor } from '../autograd/index.ts'
import { toUints } from '../check.ts'
import { DataError, ShapeError } from '../errors.ts'

/**
 * @param N documents of all lists.
 * @throws ShapeError for starts that do not go from 0 to N without a fall; DataError for a list without documents
 */
export function checkStarts(name: string, given: ArrayLike<number>, N: number): Uint32Array {
  const starts = toUints(`${name}: starts`, given)
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
  }
  return starts
}

/** A number a document as [N]. @throws ShapeError unless x is [N] or [N, 1], of a document or more */
export function perDocument(name: string, what: string, x: Tensor, N: number): Tensor {
  expectTensor(name, what, x)
  const { shape } = x
  const fits = shape.length === 1 || (shape.length === 2 && shape[1] === 1)
  if (!fits || shape[0] !== N || N === 0)
    throw new ShapeError(
      `${name}: ${what} has shape [${shape.join(', ')}], expected ${N ? `[${N}] or [${N}, 1], one a document` : 'a document'}`,
    )
  return reshape(x, [N])
}

/** [N], the list of each document. */
export function listsOf(starts: Uint32Array): Uint32Array {
  const listOf = new Uint32Array(starts.at(-1)!)
  for (let list = 0; list + 1 < starts.length; list++) listOf.fill(list, starts[list]!, starts[list + 1]!)
  return listOf
}

/** Numbers of the host beside a tensor. */
export const beside = (x: Tensor, values: Float32Array): Tensor => tensor(x.gpu, values, [values.length])

/** Rows of a [N] tensor as [n]. */
export const pick = (x: Tensor, rows: Uint32Array): Tensor =>
  reshape(takeRows(reshape(x, [x.size, 1]), rows), [rows.length])
