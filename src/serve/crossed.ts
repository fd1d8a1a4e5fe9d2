// Probabilities of a query's vector and ads': as the model's own scores, whose vectors were never kept.
import { noGrad, scope, type Tensor, tensor } from '../autograd/index.ts'
import { InFlight } from '../gpu/index.ts'
import { probabilities } from '../models/click.ts'
import { inEval } from '../models/in-eval.ts'
import type { TableBatch } from '../models/index.ts'
import type { TwoSidedModel } from './fingerprint.ts'

/** Ads that are crossed at once. */
const ADS = 4096

/**
 * The probability of class `column` for one query and each of some rows of a cache, [rows.length].
 * @param take The vectors of some rows, [rows.length, vectorSize].
 * @param table What a model that reads a table is given of these rows, from one position to another.
 */
export async function crossRows(
  model: TwoSidedModel,
  query: Float32Array,
  take: (rows: number[]) => Tensor,
  rows: ArrayLike<number>,
  column: number,
  table: (first: number, end: number) => TableBatch,
): Promise<Float32Array<ArrayBuffer>> {
  const scores = new Float32Array(rows.length)
  const inFlight = new InFlight()
  for (let first = 0; first < rows.length; first += ADS) {
    const end = Math.min(first + ADS, rows.length)
    const some = Array.prototype.slice.call(rows, first, end) as number[]
    const read = inEval(model, () =>
      scope(() =>
        noGrad(() => {
          const one = tensor(model.gpu, query, [1, query.length])
          return probabilities(model.cross(one, take(some), table(first, end))).read()
        }),
      ),
    )
    await inFlight.push(
      model.gpu,
      read.then(values => {
        const C = values.length / some.length
        for (let i = 0; i < some.length; i++) scores[first + i] = values[i * C + column]!
      }),
    )
  }
  await inFlight.drain()
  return scores
}
