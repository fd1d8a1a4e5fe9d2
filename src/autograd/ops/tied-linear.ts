import { ShapeError } from '../../errors.ts'
import type { Gpu, View } from '../../gpu/index.ts'
import { copyColumns } from '../../kernels/concat.ts'
import { matmul as matmulKernel } from '../../kernels/matmul.ts'
import { columnSum } from '../../kernels/reduce.ts'
import { expectDevice, expectTensor, expectTensors, FLOAT32 } from '../checks.ts'
import { addRowGrad } from '../table-grad.ts'
import { expectTable, type TableParameter } from '../table-parameter.ts'
import { gradTarget, op } from '../tape.ts'
import { empty as makeTensor, type Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { expectShape, rowsAndColumns } from './shapes.ts'

/**
 * x [n, H] times tableᵀ, table [V, H], plus bias [V]: an output projection that shares the embedding table. Result [n, V]
 * float32. Every row of the table takes part, so its gradient here is one of all V rows; the optimizer adds it to that of the
 * lookups. For the loss of such a projection there is {@link tiedCrossEntropy}, which needs no memory for logits or gradient of all rows.
 * Source: Press and Wolf 2017.
 * @throws ShapeError where a gradient is recorded for a table that one binding does not hold.
 */
export function tiedLinear(input: Tensor, table: TableParameter, bias: Tensor): Tensor {
  const [n, V, H] = checkTied('tiedLinear', input, table, bias)
  const x = cast(input, 'f32')
  table.beforeRead?.()
  const { shards } = table
  const weight = shards[0]!.view
  return op(
    'tiedLinear',
    x.gpu,
    [x, bias],
    ({ gpu, recording, empty }) => {
      const y = empty([n, V])
      if (shards.length > 1) {
        if (recording)
          throw new ShapeError(
            `tiedLinear: a table of shape [${table.shape}] has a gradient here only up to ${shards[0]!.rows} rows on this device, one ` +
              'binding; use tiedCrossEntropy for the loss, or noGrad for the logits alone',
          )
        overShards(gpu, { table, x: x.view, bias: bias.view, y: y.view, n })
        return { output: y, backward: () => [] }
      }
      matmulKernel(gpu, { a: x.view, b: weight, c: y.view, bias: bias.view, M: n, N: V, K: H, layout: 'NT' })
      return {
        output: y,
        backward: dy => {
          if (table.requiresGrad) addWholeGrad(gpu, table, { dlogits: dy.view, x: x.view, n })
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
    [table],
  )
}

/** Checks what is projected onto a table; @returns n, V and H */
export function checkTied(
  op: string,
  input: Tensor,
  table: TableParameter,
  bias: Tensor,
): [n: number, V: number, H: number] {
  expectTensor(op, 'x', input)
  expectTable(op, 'table', table)
  expectTensors(op, { bias }, FLOAT32, { name: 'x', gpu: input.gpu })
  expectDevice(op, 'table', table.gpu, 'x', input.gpu)
  const [n, H] = rowsAndColumns(input)
  const V = table.shape[0]!
  if (table.width !== H)
    throw new ShapeError(`${op}: x has shape [${input.shape}], the table [${table.shape}]`)
  expectShape(`${op}: bias`, bias, [V])
  return [n, V, H]
}

/** Adds dlogitsᵀ x, the gradient of every row, to what the table keeps; dlogits: [n, V], x: [n, H]. */
export function addWholeGrad(
  gpu: Gpu,
  table: TableParameter,
  { dlogits, x, n }: { dlogits: View; x: View; n: number },
): void {
  const [V, H] = table.shape as [number, number]
  const values = makeTensor(gpu, [V, H])
  matmulKernel(gpu, { a: dlogits, b: x, c: values.view, M: V, N: H, K: n, layout: 'TN' })
  addRowGrad(
    table,
    Uint32Array.from({ length: V }, (_, row) => row),
    values,
  )
}

/** y = x tableᵀ + bias, shard by shard. */
function overShards(
  gpu: Gpu,
  { table, x, bias, y, n }: { table: TableParameter; x: View; bias: View; y: View; n: number },
): void {
  const [V, K] = table.shape as [number, number]
  for (const { view, firstRow, rows } of table.shards) {
    // Neither columns of y nor a part of the bias that starts anywhere can be bound by themselves.
    gpu.scratch(take => {
      const [part, own] = [take(n * rows * 4), take(rows * 4)]
      gpu.copy({ ...bias, offset: bias.offset + firstRow * 4 }, own, rows * 4)
      matmulKernel(gpu, { a: x, b: view, c: part, bias: own, M: n, N: rows, K, layout: 'NT' })
      copyColumns(gpu, {
        ...{ source: part, sourceWidth: rows, sourceColumn: 0 },
        ...{ target: y, targetWidth: V, targetColumn: firstRow },
        ...{ width: rows, rows: n },
      })
    })
  }
}
