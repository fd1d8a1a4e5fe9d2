// Scores of one pass: by the whole model, or by kept vectors of one side, where each text of the other is encoded once a batch.
import { noGrad, scope, takeRows, tensor } from '../autograd/index.ts'
import { collate } from '../data/index.ts'
import { DataError } from '../errors.ts'
import { InFlight } from '../gpu/index.ts'
import type { AnyBatch, PackedTokens } from '../inputs.ts'
import { probabilities } from '../models/click.ts'
import { inEval } from '../models/in-eval.ts'
import type { TableBatch } from '../models/index.ts'
import { predictAmong } from '../train/predict.ts'
import type { TwoSidedModel } from './fingerprint.ts'
import type { StageData } from './n-pass-read.ts'
import { inPass, type Kept, type Stage } from './n-pass-stage.ts'
import { vectorsOf } from './vector-cache.ts'

/** How a pass goes. */
interface Going {
  truncate: boolean
  onBatch?: ((rowsDone: number) => void) | undefined
}

/**
 * A pass's scores of some rows, [rows.length].
 * @throws DataError naming pass and row of a score that is no number
 */
export async function scoreRows(
  stage: Stage,
  data: StageData,
  rows: Uint32Array,
  going: Going,
): Promise<Float32Array> {
  const { where, model, kept, column, batchSize } = stage
  return inPass(where, async () => {
    let scores: Float32Array
    if (kept) scores = await crossed(stage, kept, data, rows, going)
    else {
      const all = await predictAmong(model, data.columns, rows, { batchSize, ...onlyGiven(going) })
      const K = model.scoreNames().length
      scores = Float32Array.from(rows, row => all[row * K + column]!)
    }
    const wrong = scores.findIndex(Number.isNaN)
    if (wrong >= 0)
      throw new DataError(
        `${data.columns.files?.[0]?.name ?? 'the candidates'}: the score of row ${rows[wrong]} is NaN, expected a number; the model's weights may be broken`,
      )
    return scores
  })
}

const onlyGiven = ({ truncate, onBatch }: Going) => ({ truncate, ...(onBatch && { onBatch }) })

async function crossed(
  stage: Stage,
  { cache, other }: Kept,
  { columns, places, texts }: StageData,
  rows: Uint32Array,
  { truncate, onBatch }: Going,
): Promise<Float32Array> {
  const { batchSize, inputs, column } = stage
  const model = stage.model as TwoSidedModel
  const { gpu } = model
  const { [other]: text, ...table } = inputs
  const scores = new Float32Array(rows.length)
  const inFlight = new InFlight()
  let rowsDone = 0
  for (let first = 0; first < rows.length; first += batchSize) {
    const some = rows.subarray(first, first + batchSize)
    // Each text once, by the first row that has it.
    const order = new Map<number, number>()
    const firstRows: number[] = []
    const which = Uint32Array.from(some, row => {
      const own = texts![row]!
      const at = order.get(own) ?? order.size
      if (at === order.size) {
        order.set(own, at)
        firstRows.push(row)
      }
      return at
    })
    const encoded = collate(columns, firstRows, { [other]: text! }, { truncate })
    const batch: AnyBatch = collate(columns, some, table)
    const vectors = vectorsOf(
      cache,
      Uint32Array.from(some, row => places![row]!),
    )
    const read = inEval(model, () =>
      scope(() =>
        noGrad(() => {
          const own = model.encode(other, encoded[other] as PackedTokens)
          const taken = tensor(gpu, vectors, [some.length, cache.size])
          // One query is for all ads; of an ad whose queries are kept, every row needs its own.
          const one = own.shape[0] === 1 && other === 'query'
          const spread = one ? own : takeRows(own, which)
          const [query, ad] = other === 'query' ? [spread, taken] : [taken, spread]
          return probabilities(model.cross(query, ad, batch as TableBatch)).read()
        }),
      ),
    )
    await inFlight.push(
      gpu,
      read.then(values => {
        const C = values.length / some.length
        for (let i = 0; i < some.length; i++) scores[first + i] = values[i * C + column]!
        rowsDone += some.length
        onBatch?.(rowsDone)
      }),
    )
  }
  await inFlight.drain()
  return scores
}
