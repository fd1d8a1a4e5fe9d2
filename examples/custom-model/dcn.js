// DCN-v2 over a table (Wang et al. 2021, https://arxiv.org/abs/2008.13535): cross layers beside a deep one, on the embeddings of
// categorical columns and on numbers. What it reads is declared, the rest is what makes a model: loss, scores, metrics.
import { add, concat, crossEntropy, Evaluation, Model, mul, nn, softmax, tensor } from 'kernelgrad'
import * as v from 'valibot'

const size = v.pipe(v.number(), v.integer('expected an integer'), v.minValue(1, 'expected at least 1'))

export default class DcnV2 extends Model {
  static architecture = 'DcnV2'
  static schema = v.strictObject({
    categorical: v.record(v.string(), size), // rows of each column's table
    numerical: v.optional(v.array(v.string()), []),
    embedding_size: v.optional(size, 8),
    cross_layers: v.optional(size, 2),
    hidden_size: v.optional(size, 32),
  })

  constructor(config) {
    super()
    this.config = config
    const { categorical, numerical, embedding_size, cross_layers, hidden_size } = config
    this.inputs = {
      categorical: { kind: 'ids', columns: categorical },
      numerical: { kind: 'floats', columns: numerical },
      labels: { kind: 'classes', column: 'label', classes: 2, trainOnly: true },
    }
    const tables = Object.entries(categorical).map(([name, rows]) => [
      name,
      new nn.Embedding(rows, embedding_size),
    ])
    const width = tables.length * embedding_size + numerical.length
    this.tables = new nn.ModuleDict(Object.fromEntries(tables))
    this.cross = new nn.ModuleList(Array.from({ length: cross_layers }, () => new nn.Linear(width, width)))
    this.deep = new nn.Sequential([new nn.Linear(width, hidden_size), new nn.ReLU(), new nn.Dropout(0.1)])
    this.head = new nn.Linear(width + hidden_size, 2)
  }

  // [B, 2]; every cross layer is x0 * (W x + b) + x
  logits({ categorical, numerical, size }) {
    const embedded = Object.entries(categorical).map(([name, ids]) => this.tables.get(name).forward(ids))
    const numbers = Object.values(numerical).map(values => tensor(this.gpu, values, [size, 1]))
    const x0 = concat([...embedded, ...numbers])
    let x = x0
    for (const layer of this.cross) x = add(mul(x0, layer.forward(x)), x)
    return this.head.forward(concat([x, this.deep.forward(x0)]))
  }

  loss(batch) {
    return crossEntropy(this.logits(batch), tensor(this.gpu, batch.labels))
  }
  scores(batch) {
    return softmax(this.logits(batch))
  }
  scoreNames() {
    return [null, 'probability']
  }
  metrics(options) {
    return new Evaluation(2, options)
  }
}
