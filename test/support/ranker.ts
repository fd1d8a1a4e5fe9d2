// A model that reads lists: which row of each is chosen.
import * as kg from '../../src/index.ts'

export const inputs = {
  numbers: { kind: 'floats', columns: ['price', 'age'] },
  documents: { kind: 'list', columns: ['session', 'query'] },
  clicks: { kind: 'classes', column: 'click', classes: 2, trainOnly: true },
} as const satisfies kg.Inputs
export type Batch = kg.BatchOf<typeof inputs>

/** Softmax over the rows of a list, trained to find the one that was clicked. */
export class Ranker extends kg.Model<typeof inputs> {
  static readonly architecture = 'Ranker'
  static readonly parse = () => ({ architecture: 'Ranker' })
  readonly config = Ranker.parse()
  readonly inputs = inputs
  readonly head = new kg.nn.Linear(2, 1)
  /** A row whose batch has no loss. */
  broken = -1

  rowScores({ numbers, size }: Batch): kg.Tensor {
    const columns = [numbers.price!, numbers.age!].map(values => kg.tensor(this.gpu, values, [size, 1]))
    return kg.reshape(this.head.forward(kg.concat(columns)), [size])
  }
  loss(batch: Batch): kg.Tensor {
    const logits = this.rowScores(batch)
    const clicked = kg.mul(logits, kg.tensor(this.gpu, Float32Array.from(batch.clicks!)))
    const each = kg.sub(kg.segmentLogSumExp(logits, batch.documents), kg.segmentSum(clicked, batch.documents))
    const wrong = batch.rows.includes(this.broken) ? Number.NaN : 1
    return kg.reshape(kg.mul(kg.mean(each), kg.tensor(this.gpu, [wrong])), [1])
  }
  scores(batch: Batch): kg.Tensor {
    return kg.reshape(kg.segmentSoftmax(this.rowScores(batch), batch.documents), [batch.size, 1])
  }
  scoreNames(): string[] {
    return ['chosen']
  }
  metrics(): kg.Metric<Batch> {
    let [loss, first, lists] = [0, 0, 0]
    return {
      figures: { loss: { better: 'lower' }, first: { better: 'greater' } },
      add({ documents, clicks }, scores) {
        for (let l = 0; l + 1 < documents.length; l++) {
          const own = scores.subarray(documents[l], documents[l + 1])
          const clicked = clicks!.subarray(documents[l], documents[l + 1]).indexOf(1)
          loss -= Math.log(own[clicked]!)
          first += Number(own[clicked] === Math.max(...own))
          lists++
        }
      },
      result: () => ({ loss: loss / lists, first: first / lists }),
    }
  }
}
