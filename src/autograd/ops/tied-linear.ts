import { ShapeError } from '../../errors.ts'
import { matmul as matmulKernel } from '../../kernels/matmul.ts'
import { columnSum } from '../../kernels/reduce.ts'
import { expectDevice, expectTensor, expectTensors, FLOAT32 } from '../checks.ts'
import { expectTable, type TableParameter } from '../parameter.ts'
import { untrack } from '../scope.ts'
import { gradTarget, op } from '../tape.ts'
import { empty as makeTensor, type Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { expectShape, rowsAndColumns } from './shapes.ts'

/**
 * x [n, H] times tableᵀ, table [V, H], plus bias [V]: an output projection that shares the embedding table. Result [n, V]
 * float32. Every row of the table takes part, so its gradient here is one of all V rows; the optimizer adds it to that of the
 * lookups.
 * Source: Press and Wolf 2017.
 * @throws ShapeError for a table that one binding does not hold.
 */
export function tiedLinear(input: Tensor, table: TableParameter, bias: Tensor): Tensor {
  expectTensor('tiedLinear', 'x', input)
  expectTable('tiedLinear', 'table', table)
  expectTensors('tiedLinear', { bias }, FLOAT32, { name: 'x', gpu: input.gpu })
  expectDevice('tiedLinear', 'table', table.gpu, 'x', input.gpu)
  const [n, H] = rowsAndColumns(input)
  const V = table.shape[0]!
  if (table.width !== H)
    throw new ShapeError(`tiedLinear: x has shape [${input.shape}], the table [${table.shape}]`)
  if (table.shards.length > 1) {
    const most = table.shards[0]!.rows
    throw new ShapeError(
      `tiedLinear: a table of shape [${table.shape}], expected at most ${most} rows on this device`,
    )
  }
  expectShape('tiedLinear: bias', bias, [V])
  const x = cast(input, 'f32')
  table.beforeRead?.()
  const weight = table.shards[0]!.view
  return op(
    'tiedLinear',
    x.gpu,
    [x, bias],
    ({ gpu, empty }) => {
      const y = empty([n, V])
      matmulKernel(gpu, { a: x.view, b: weight, c: y.view, bias: bias.view, M: n, N: V, K: H, layout: 'NT' })
      return {
        output: y,
        backward: dy => {
          if (table.requiresGrad) {
            // It outlives the step's scope: `zeroGrad` frees it.
            const values = makeTensor(gpu, [V, H])
            untrack(values)
            matmulKernel(gpu, { a: dy.view, b: x.view, c: values.view, M: V, N: H, K: n, layout: 'TN' })
            table.grads.push({ rows: Uint32Array.from({ length: V }, (_, row) => row), values })
          }
          if (bias.requiresGrad) {
            const { view, accumulate } = gradTarget(bias)
            columnSum(gpu, { x: dy.view, out: view, rows: n, C: V, accumulate })
          }
          if (x.requiresGrad) {
            const { view, accumulate } = gradTarget(x)
            matmulKernel(gpu, { a: dy.view, b: weight, c: view, M: n, N: H, K: V, layout: 'NN', accumulate })
          }
          return []
        },
      }
    },
    table.requiresGrad,
  )
}
