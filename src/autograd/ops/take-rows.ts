import { ShapeError } from '../../errors.ts'
import { embedding as embeddingKernel, scatterAddRows } from '../../kernels/embedding.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { rowsAndColumns } from './shapes.ts'

/**
 * Some rows of x, [T, H] to [n, H] float32, in the order given: `x[rows]` with each row at most once.
 * @throws ShapeError for a row that x does not have, or that is named twice.
 */
export function takeRows(input: Tensor, rows: Uint32Array): Tensor {
  const x = cast(input, 'f32')
  const [T, H] = rowsAndColumns(x)
  const wrong = rows.find(row => row >= T)
  if (wrong !== undefined) throw new ShapeError(`takeRows: row ${wrong} of a tensor of shape [${x.shape}]`)
  if (new Set(rows).size < rows.length) throw new ShapeError('takeRows: a row is named twice')
  const n = rows.length
  return op('takeRows', x.gpu, [x], ({ gpu, empty, savedIds }) => {
    const y = empty([n, H])
    const ids = savedIds(rows)
    const table = [{ view: x.view, firstRow: 0, rows: T }]
    embeddingKernel(gpu, { table, ids: ids.view, out: y.view, n, H })
    return {
      output: y,
      backward: dy => {
        const dx = empty(x.shape)
        gpu.clear(dx.view)
        scatterAddRows(gpu, { source: dy.view, map: ids.view, target: dx.view, n, H })
        return [dx]
      },
    }
  })
}
