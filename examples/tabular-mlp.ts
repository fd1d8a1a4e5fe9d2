// A model of one's own on a table alone: embeddings of two categorical columns beside three numerical ones, through an MLP.
import {
  AdamW,
  concat,
  crossEntropy,
  nn,
  noGrad,
  openGpu,
  scope,
  softmax,
  type Tensor,
  tensor,
} from 'kernelgrad'
import { randomStream } from 'kernelgrad/data'
import { clickProbability, logLoss, rocAuc } from 'kernelgrad/train'

/** Columns of equal length. */
interface Table {
  city: Uint32Array
  device: Uint32Array
  /** [rows, 3]. */
  numbers: Float32Array
  clicked: Uint32Array
}

const [CITIES, DEVICES, NUMBERS] = [50, 4, 3]

/** A submodule or parameter is any property of a module; its name is its path. */
class TabularMlp extends nn.Module {
  readonly city = new nn.Embedding(CITIES, 8)
  readonly device = new nn.Embedding(DEVICES, 4)
  readonly mlp = new nn.Sequential([
    new nn.Linear(8 + 4 + NUMBERS, 32),
    new nn.LayerNorm(32),
    new nn.ReLU(),
    new nn.Dropout(0.1),
    new nn.Linear(32, 2),
  ])

  /** [rows, 2]. */
  forward({ city, device, numbers }: Table): Tensor {
    const columns = tensor(this.gpu, numbers, [city.length, NUMBERS])
    return this.mlp.forward(concat([this.city.forward(city), this.device.forward(device), columns]))
  }
}

/** Rows whose clicks follow from city, device and the product of two numbers. */
function drawRows(rows: number, seed: number): Table {
  const random = randomStream(seed, 0)
  const cities = randomStream(1, 1)
  const taste = Array.from({ length: CITIES }, () => 3 * cities.uniform() - 1.5)
  const table = {
    city: Uint32Array.from({ length: rows }, () => Math.floor(random.uniform() * CITIES)),
    device: Uint32Array.from({ length: rows }, () => Math.floor(random.uniform() * DEVICES)),
    numbers: Float32Array.from({ length: rows * NUMBERS }, () => 2 * random.uniform() - 1),
  }
  const clicked = Uint32Array.from({ length: rows }, (_, i) => {
    const [a, b] = table.numbers.subarray(i * NUMBERS, i * NUMBERS + 2) as unknown as [number, number]
    const logit = taste[table.city[i]!]! + 0.5 * table.device[i]! - 1 + 4 * a * b
    return Number(random.uniform() < 1 / (1 + Math.exp(-logit)))
  })
  return { ...table, clicked }
}

const slice = ({ city, device, numbers, clicked }: Table, start: number, end: number): Table => ({
  city: city.subarray(start, end),
  device: device.subarray(start, end),
  numbers: numbers.subarray(start * NUMBERS, end * NUMBERS),
  clicked: clicked.subarray(start, end),
})

/** Trains on `rows` fresh rows in batches of 100; returns ROC AUC and log loss on 2,000 others, before and after. */
export async function tabularMlp({ rows = 30_000 } = {}) {
  const gpu = await openGpu()
  const model = new TabularMlp().to(gpu, { seed: 1 })
  const optimizer = new AdamW(gpu, [{ params: model.parameters() }], { lr: 5e-3, weightDecay: 0.01 })
  const [train, test] = [drawRows(rows, 2), drawRows(2000, 3)]
  const evaluate = async () => {
    model.eval()
    optimizer.synchronize() // rows of the tables that no batch had for some steps catch up
    const probabilities = noGrad(() => scope(() => softmax(model.forward(test))))
    const clicks = clickProbability(await probabilities.read())
    probabilities.dispose()
    model.train()
    return { roc_auc: rocAuc(test.clicked, clicks), log_loss: logLoss(test.clicked, clicks) }
  }
  const before = await evaluate()
  for (let start = 0; start < rows; start += 100) {
    const batch = slice(train, start, Math.min(start + 100, rows))
    scope(() => crossEntropy(model.forward(batch), tensor(gpu, batch.clicked)).backward())
    optimizer.step({ maxGradNorm: 1 })
    optimizer.zeroGrad()
    if (start % 2000 === 0) await gpu.done() // do not record far ahead of the device
  }
  const after = await evaluate()
  console.log(`${model}`)
  console.table({ before, after })
  optimizer.dispose()
  model.free()
  gpu.close()
  return { before, after }
}

if (process.argv[1]?.endsWith('tabular-mlp.js')) await tabularMlp()
