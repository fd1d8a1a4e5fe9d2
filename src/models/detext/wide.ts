// What a DetextModel makes of the table: numbers, sparse ids, and weights of ids that go straight to the score.
import {
  add,
  cast,
  concatColumns,
  DenseParameter,
  type Ids,
  type Init,
  mul,
  type Tensor,
  tanh,
  tensor,
} from '../../autograd/index.ts'
import { toFloats } from '../../check.ts'
import { DataError, ShapeError } from '../../errors.ts'
import { checkIds } from '../../nn/check-text.ts'
import { Embedding, ModuleList } from '../../nn/index.ts'
import type { ResolvedDetextConfig } from './config.ts'

type Table = Pick<ResolvedDetextConfig, 'dense' | 'dense_mean' | 'dense_std'>

/** [N, M], each number less its mean over its deviation; NaN counts as 0 before that. */
export function denseValues(
  where: string,
  { dense, dense_mean, dense_std }: Table,
  columns: Record<string, ArrayLike<number>>,
  N: number,
  rowOf: (row: number) => number,
): Float32Array<ArrayBuffer> {
  const M = dense.length
  const out = new Float32Array(N * M)
  for (const [m, name] of dense.entries()) {
    const at = `${where}: column '${name}'`
    const values = toFloats(at, columns[name])
    if (values.length !== N)
      throw new ShapeError(`${at} has ${values.length} rows, expected ${N}, the batch's size`)
    for (let row = 0; row < N; row++) {
      const value = values[row]!
      if (Math.abs(value) === Number.POSITIVE_INFINITY)
        throw new DataError(
          `${at}, row ${rowOf(row)}: value ${value}, expected a finite number, or NaN for none`,
        )
      out[row * M + m] = ((Number.isNaN(value) ? 0 : value) - dense_mean[m]!) / dense_std[m]!
    }
  }
  return out
}

/** tanh(w x + b), number by number. */
export class DenseNorm {
  readonly dense_ftrs_norm_w: DenseParameter
  readonly dense_ftrs_norm_b: DenseParameter

  constructor(M: number) {
    this.dense_ftrs_norm_w = new DenseParameter([M], { kind: 'constant', value: 1 })
    this.dense_ftrs_norm_b = new DenseParameter([M], { kind: 'constant', value: 0 })
  }

  /** [N, M] of normalized values. */
  forward(values: Float32Array<ArrayBuffer>): Tensor {
    const M = this.dense_ftrs_norm_w.size
    const x = tensor(this.dense_ftrs_norm_w.gpu, values, [values.length / M, M])
    return tanh(add(mul(x, this.dense_ftrs_norm_w), this.dense_ftrs_norm_b))
  }
}

/** A table per column, drawn as Keras draws: Glorot and Bengio 2010, with rows and width for the layer's sides. */
export function idTables(columns: readonly { rows: number; width: number }[]): ModuleList<Embedding> {
  const init = (rows: number, width: number): Init => ({
    kind: 'uniform',
    bound: Math.sqrt(6 / (rows + width)),
  })
  return new ModuleList(
    columns.map(({ rows, width }) => new Embedding(rows, width, { init: init(rows, width) })),
  )
}

/** Rows of each column's table, added up or side by side. */
export function lookedUp(
  tables: ModuleList<Embedding>,
  ids: readonly Ids[],
  merge: 'sum' | 'concat',
): Tensor {
  const rows = [...tables].map((table, i) => cast(table.forward(ids[i]!), 'f32'))
  return merge === 'concat' && rows.length > 1
    ? concatColumns(rows)
    : rows.reduce((sum, one) => add(sum, one))
}

/** Ids of a column, one a row. */
export const idsOf = (where: string, columns: Record<string, Ids>, name: string, N: number): Ids =>
  checkIds(`${where}: column '${name}'`, columns[name], N, 'row')
