// Text and table joined: a combiner on given vectors, with the gradients by them; and a whole model that has one.
import { basename, dirname, join } from 'node:path'
import { crossEntropy, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { FusionMethod } from '../../src/config/index.ts'
import { DataError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import type { AnyBatch } from '../../src/inputs.ts'
import { Evaluation } from '../../src/metrics/index.ts'
import { Model, TextTabularModel } from '../../src/models/index.ts'
import { Buffer, Combiner, type CombinerOptions, Linear, type Module } from '../../src/nn/index.ts'
import { withStillStatistics } from '../../src/nn/normalization.ts'
import {
  type CaseConfig,
  drift,
  frozenBatch,
  modelConfig,
  need,
  readTensors,
  type Tensors,
} from './frozen.ts'
import { checkGrads, checkSteps, type TrainedCase } from './model-case.ts'
import { Check, type Finding } from './report.ts'

interface How {
  method: FusionMethod
  batch_norm: boolean
  mlp_division?: number
  gating_beta: number
}

/** A combiner on given vectors, and a Linear over what it gives. */
export interface FusionCase extends TrainedCase, How {
  text_dim: number
  cat_dim: number
  num_dim: number
}

/** A model whose text and table are joined by a combiner, and a Linear over what it gives. */
export interface FusedTextCase extends TrainedCase, How {
  config: CaseConfig
}

export const isFusionCase = (frozen: Record<string, unknown>): boolean =>
  'text_dim' in frozen && 'method' in frozen
export const isFusedTextCase = (frozen: Record<string, unknown>): boolean =>
  'config' in frozen && 'method' in frozen

/** PyTorch's own float32 strays further behind attention's MLPs. */
const gradBound = ({ method, text_dim, cat_dim, num_dim }: FusionCase) =>
  method === 'attention_on_cat_and_numerical_feats' && Math.max(cat_dim, num_dim) > text_dim ? 2e-4 : 2e-5

class Fused extends Model {
  static readonly architecture = 'Fused'
  readonly config = { architecture: 'Fused' }
  readonly inputs = {}
  readonly tabular_combiner: Combiner
  readonly tabular_classifier: Linear

  constructor(method: FusionMethod, options: CombinerOptions) {
    super()
    this.tabular_combiner = new Combiner(method, options)
    this.tabular_classifier = new Linear(this.tabular_combiner.width, 2)
  }

  parts({ text, cat, num }: Vectors): { combined: Tensor; logits: Tensor } {
    const combined = this.tabular_combiner.forward(text, cat, num)
    return { combined, logits: this.tabular_classifier.forward(combined) }
  }

  loss(_: AnyBatch): Tensor {
    throw new Error('the vectors are given beside the batch')
  }

  scores(batch: AnyBatch): Tensor {
    return this.loss(batch)
  }

  metrics(): Evaluation {
    return new Evaluation(2)
  }

  scoreNames(): string[] {
    return []
  }
}

interface Vectors {
  text: Tensor
  cat: Tensor
  num: Tensor
}

const nameOf = (folder: string) => `${basename(dirname(folder))}/${basename(folder)}`

export async function checkFusionCase(gpu: Gpu, folder: string, frozen: FusionCase): Promise<Finding[]> {
  const name = nameOf(folder)
  const read = (file: string) => readTensors(join(folder, `${file}.safetensors`))
  const batches = await read('batches')
  const model = new Fused(frozen.method, {
    text: frozen.text_dim,
    categorical: frozen.cat_dim,
    numerical: frozen.num_dim,
    batchNorm: frozen.batch_norm,
    mlpDivision: frozen.mlp_division,
    gatingBeta: frozen.gating_beta,
    dropout: 0,
  }).to(gpu)
  try {
    setWeights(model, await read('weights'))
    const vectors = (index: number, requiresGrad = false): Vectors => {
      const of = (key: string) => {
        const { shape, data } = need(batches, `${index}.${key}`)
        return tensor(gpu, Float32Array.from(data), shape, { requiresGrad })
      }
      return { text: of('text'), cat: of('cat'), num: of('num') }
    }
    const labels = (index: number) => Uint32Array.from(need(batches, `${index}.labels`).data)
    const loss = (index: number) => crossEntropy(model.parts(vectors(index)).logits, labels(index))
    const forward = await checkVectors(
      model,
      vectors(0, true),
      labels(0),
      await read('forward'),
      name,
      gradBound(frozen),
    )
    const still = (index: number) => withStillStatistics(() => loss(index))
    const grads = await checkGrads(model, still, await read('grads'), name, gradBound(frozen))
    const final = await read('final')
    const steps = await checkSteps(model, loss, frozen, final, name)
    return [...forward, ...grads, ...steps, ...(await checkStatistics(model, final, name))]
  } finally {
    model.free()
  }
}

/** Forward values, and gradients by what is given. */
async function checkVectors(
  model: Fused,
  given: Vectors,
  labels: Uint32Array,
  frozen: Tensors,
  name: string,
  bound: number,
): Promise<Finding[]> {
  const check = new Check(`${name}/forward`, 1e-5)
  const inputs = new Check(`${name}/inputs' grads`, bound)
  const got = scope(() => {
    const { combined, logits } = withStillStatistics(() => model.parts(given))
    const loss = crossEntropy(logits, labels)
    const read = { combined: combined.read(), logits: logits.read(), loss: loss.read() }
    loss.backward()
    return read
  })
  for (const [key, values] of Object.entries(got)) check.tensor(key, await values, need(frozen, key).data)
  for (const [key, { grad, size }] of Object.entries(given)) {
    const values = grad ? await grad.read() : new Float32Array(size)
    inputs.tensor(`d${key}`, values, need(frozen, `d${key}`).data)
  }
  model.zeroGrad()
  return [...check.done(), ...inputs.done()]
}

/** What batch normalization carries, after the last step; it starts at 0 and 1. */
async function checkStatistics(model: Module, final: Tensors, name: string): Promise<Finding[]> {
  const check = new Check(`${name}/statistics`, 5e-3)
  for (const [key, buffer] of model.namedBuffers())
    if (buffer instanceof Buffer) {
      const start = new Float32Array(buffer.size).fill(key.endsWith('running_var') ? 1 : 0)
      check.add(key, await drift(buffer, start, need(final, key).data))
    }
  return check.done()
}

/** @param parts.final whether the weights after the last step are there. */
export async function checkFusedTextCase(
  gpu: Gpu,
  folder: string,
  frozen: FusedTextCase,
  { final: ends = true } = {},
): Promise<Finding[]> {
  const name = nameOf(folder)
  const read = async (file: string) => renamed(await readTensors(join(folder, `${file}.safetensors`)))
  const batches = await read('batches')
  const { method, batch_norm, mlp_division, gating_beta } = frozen
  const mlp = method === 'text_only' || method === 'concat' ? {} : { batch_norm, mlp_division, dropout: 0 }
  const gate = method === 'gating_on_cat_and_num_feats_then_sum' ? { gating_beta } : {}
  const model = new TextTabularModel({
    ...modelConfig({ ...frozen.config, mlp: null }, 'TextTabularModel'),
    fusion: { method, ...mlp, ...gate },
  }).to(gpu)
  try {
    setWeights(model, await read('weights'))
    const batch = (index: number) => frozenBatch(batches, index, frozen.config, false)
    const loss = (index: number) => model.forward(batch(index)).loss!
    const still = (index: number) => withStillStatistics(() => loss(index))
    const check = new Check(`${name}/forward`, 1e-5)
    const expected = await read('forward')
    const got = scope(() => {
      const { textEmbedding, mlpInput, logits } = withStillStatistics(() => model.parts(batch(0)))
      return {
        text_embedding: textEmbedding.read(),
        combined: mlpInput.read(),
        logits: logits.read(),
        loss: still(0).read(),
      }
    })
    for (const [key, values] of Object.entries(got)) check.tensor(key, await values, need(expected, key).data)
    const grads = await checkGrads(model, still, await read('grads'), name)
    const final = ends ? await read('final') : undefined
    const steps = await checkSteps(model, loss, frozen, final, name)
    return [...check.done(), ...grads, ...steps, ...(final ? await checkStatistics(model, final, name) : [])]
  } finally {
    model.free()
  }
}

/** The toolkit's name for the layer to the logits, and this library's. */
const renamed = (tensors: Tensors): Tensors =>
  new Map([...tensors].map(([name, one]) => [name.replace(/^tabular_classifier\./, 'head.'), one]))

/** Sets every parameter; statistics stay as they start, which a case does not hold. */
function setWeights(model: Module, weights: Tensors): void {
  const buffers = new Set([...model.namedBuffers()].map(([name]) => name))
  const { missingKeys, unexpectedKeys } = model.loadStateDict(weights, { strict: false })
  const faults = [...missingKeys.filter(name => !buffers.has(name)), ...unexpectedKeys]
  if (faults.length) throw new DataError(`the case's weights and the model differ in ${faults.join(', ')}`)
}
