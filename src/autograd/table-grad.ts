import { replace, tableHooks, unshared } from './hooks.ts'
import { untrack } from './scope.ts'
import type { TableParameter } from './table-parameter.ts'
import { noGrad } from './tape.ts'
import { empty, type Tensor } from './tensor.ts'

/** Adds the gradient of one use of a table, [rows.length, H], to what the table keeps, after its hooks. */
export function addRowGrad(table: TableParameter, rows: Uint32Array, given: Tensor): void {
  let values = given
  for (const hook of tableHooks.of(table))
    values = replace(
      values,
      noGrad(() => hook({ rows, values })),
    )
  values = unshared(values, shape => empty(table.gpu, shape))
  untrack(values) // gradients outlive the step's scope: `zeroGrad` frees them
  table.grads.push({ rows, values })
}
