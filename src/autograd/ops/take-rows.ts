import { toUints } from '../../check.ts'
import { ShapeError } from '../../errors.ts'
import type { View } from '../../gpu/index.ts'
import { groupIds } from '../../ids.ts'
import { embeddingBackward, embedding as embeddingKernel, scatterAddRows } from '../../kernels/embedding.ts'
import { expectRank, expectTensor } from '../checks.ts'
import { op } from '../tape.ts'
import { empty as makeTensor, type Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { rowsAndColumns } from './shapes.ts'

/**
 * Some rows of x, [T, H] to [n, H] float32, in the order given: `x[rows]`. A row may be named more than once: its gradient is then the
 * sum, in the order of `rows`.
 * @throws ShapeError for a row that x does not have
 */
export function takeRows(input: Tensor, given: Uint32Array | readonly number[]): Tensor {
  expectTensor('takeRows', 'x', input)
  expectRank('takeRows', 'x', input, '[T, H]', 2)
  const rows = toUints('takeRows: rows', given)
  const [T, H] = rowsAndColumns(input)
  const wrong = rows.find(row => row >= T)
  if (wrong !== undefined)
    throw new ShapeError(`takeRows: row ${wrong} of a tensor of shape [${input.shape}]`)
  const x = cast(input, 'f32')
  const n = rows.length
  const once = new Set(rows).size === n
  return op('takeRows', x.gpu, [x], ({ gpu, recording, empty, savedIds }) => {
    const y = empty([n, H])
    const ids = savedIds(rows)
    const table = [{ view: x.view, firstRow: 0, rows: T }]
    embeddingKernel(gpu, { table, ids: ids.view, out: y.view, n, H })
    const grouped = recording && !once ? groupIds(rows) : undefined
    const segments = grouped && [grouped.rows, grouped.offsets, grouped.positions].map(savedIds)
    return {
      output: y,
      backward: dy => {
        const dx = empty(x.shape)
        gpu.clear(dx.view)
        if (!segments) {
          scatterAddRows(gpu, { source: dy.view, map: ids.view, target: dx.view, n, H })
          return [dx]
        }
        const [unique, offsets, positions] = segments.map(({ view }) => view) as [View, View, View]
        const U = segments[0]!.size
        const sums = makeTensor(gpu, [U, H])
        embeddingBackward(gpu, { dy: dy.view, offsets, positions, grad: sums.view, U, H })
        scatterAddRows(gpu, { source: sums.view, map: unique, target: dx.view, n: U, H })
        sums.dispose()
        return [dx]
      },
    }
  })
}
