// A whole model against frozen values: forward values and gradients of the first batch, then optimizer steps.
import { basename, dirname, join } from 'node:path'
import { noGrad, readParameter, scope, softmax, type Tensor } from '../../src/autograd/index.ts'
import type { FeatureBatch } from '../../src/config/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import {
  createModel,
  type DistilBertForSequenceClassification,
  type Model,
  TextTabularModel,
} from '../../src/models/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { loadWeights, parameterGroups } from '../../src/train/index.ts'
import {
  type CaseConfig,
  drift,
  frozenBatch,
  modelConfig,
  need,
  readTensors,
  type Tensors,
} from './frozen.ts'
import { Check, type Finding } from './report.ts'

type FeatureModel = TextTabularModel | DistilBertForSequenceClassification

/** How a case was trained. */
export interface TrainedCase {
  /** Micro-batches of a step, 1 unless given. */
  accumulate?: number
  lr_encoder: number
  lr_other: number
  betas: [number, number]
  eps: number
  weight_decay: number
  max_grad_norm: number
  losses: number[]
  grad_norms: number[]
  /** Parameters whose true gradient is zero: Adam amplifies noise. */
  zero_gradient?: string[]
  /** How far PyTorch's own float32 run ends from the float64 weights, and in which parameter. */
  torch_float32_error?: { final?: [error: number, parameter: string] }
}

export interface ModelCase extends TrainedCase {
  config: CaseConfig
  model: string
}

/** Whether a case trains a TextTabularModel from pretrained weights: of its forward pass it has what the training needs. */
export const isFineTuned = ({ model, config }: Partial<Record<string, unknown>>): boolean =>
  /\/finetune$/.test(String(model)) && Object.hasOwn(Object(config), 'features')

export async function checkModelCase(gpu: Gpu, folder: string, frozen: ModelCase): Promise<Finding[]> {
  const fineTuned = isFineTuned({ ...frozen })
  const name = fineTuned ? `${basename(dirname(folder))}/${basename(folder)}` : basename(folder)
  const textOnly = frozen.model === 'TextOnly'
  const config = modelConfig(
    frozen.config,
    textOnly ? 'DistilBertForSequenceClassification' : 'TextTabularModel',
  )
  const batches = await readTensors(join(folder, 'batches.safetensors'))
  const batch = (index: number) => frozenBatch(batches, index, frozen.config, textOnly)
  const model = createModel(config).to(gpu)
  try {
    await loadWeights(model, join(folder, 'weights.safetensors'))
    model.train()
    const loss = (index: number) => model.forward(batch(index)).loss!
    const expected = await readTensors(join(folder, 'forward.safetensors'))
    const some = fineTuned ? ['text_embedding', 'logits', 'loss'] : undefined
    const forward = await checkForward(model, batch(0), expected, name, some)
    const grads = await checkGrads(model, loss, await readTensors(join(folder, 'grads.safetensors')), name)
    const final = await readTensors(join(folder, 'final.safetensors'))
    const steps = await checkSteps(model, loss, frozen, final, name)
    return [...forward, ...grads, ...steps]
  } finally {
    model.free()
  }
}

async function checkForward(
  model: FeatureModel,
  batch: FeatureBatch,
  frozen: Tensors,
  name: string,
  some?: readonly string[],
): Promise<Finding[]> {
  const check = new Check(`${name}/forward`, 1e-5)
  const got = scope(() =>
    noGrad(() => {
      const loss = model.forward(batch).loss!
      if (!(model instanceof TextTabularModel)) {
        const logits = model.logits(batch)
        return { logits: logits.read(), probs: softmax(logits).read(), loss: loss.read() }
      }
      const { hidden, textEmbedding, mlpInput, logits } = model.parts(batch)
      return {
        last_hidden_state: hidden.read(),
        text_embedding: textEmbedding.read(),
        mlp_input: mlpInput.read(),
        logits: logits.read(),
        probs: softmax(logits).read(),
        loss: loss.read(),
      }
    }),
  )
  // All are waited for, so that what is missing below leaves no read behind.
  const read = await Promise.all(
    Object.entries(got).map(async ([key, values]) => [key, await values] as const),
  )
  for (const [key, values] of read) {
    if (some && !some.includes(key)) continue
    const expected = need(frozen, key)
    const wanted = key === 'last_hidden_state' ? keptRows(expected, batch) : expected.data
    check.tensor(key, values, wanted)
  }
  return check.done()
}

/** The frozen hidden states [B, S, H] at unmasked positions: those at masked ones mean nothing. */
function keptRows(
  { shape, data }: { shape: number[]; data: ArrayLike<number> },
  { text }: FeatureBatch,
): Float32Array {
  const [, S, H] = shape as [number, number, number]
  const out = new Float32Array(text!.tokens * H)
  for (let t = 0; t < text!.tokens; t++) {
    const from = (text!.rowIds[t]! * S + text!.positionIds.ids[t]!) * H
    for (let h = 0; h < H; h++) out[t * H + h] = data[from + h]!
  }
  return out
}

/** Spacing of float32 numbers about 1. */
const ULP = 2 ** -23

/** Gradients of the first batch's loss. */
export async function checkGrads(
  model: Model,
  loss: (index: number) => Tensor,
  frozen: Tensors,
  name: string,
  bound = 2e-5,
): Promise<Finding[]> {
  const check = new Check(`${name}/grads`, bound)
  scope(() => loss(0).backward())
  const sizes = new Map([...frozen].map(([key, { data }]) => [key, largestOf(data)]))
  const largest = Math.max(...sizes.values())
  for (const [key, parameter] of model.namedParameters())
    check.tensor(
      key,
      await parameter.readGrad(),
      need(frozen, key).data,
      gradScale(key, sizes, largest, bound),
    )
  model.zeroGrad()
  return check.done()
}

/**
 * What the error of a parameter's gradient is held against. Gradients are sums, and those that cancel are no better in float32 than their terms:
 * - where all true gradients are zero, as with lists of one document, the error itself counts;
 * - where this one is (k_lin.bias), the model's largest;
 * - a bias's has the terms of its weight's, without their factors, and counts by the layer's larger one;
 * - and what is small in the whole layer may be off by the last bit of the model's largest.
 */
function gradScale(key: string, sizes: Map<string, number>, largest: number, bound: number): number {
  const ZERO = 1e-9
  if (largest < ZERO) return 1
  const own = sizes.get(key)!
  if (own < ZERO) return largest
  const layer = sizes.get(key.replace(/bias(?=[^.]*$)/, 'weight')) ?? own
  return Math.max(own, layer, (largest * ULP) / bound)
}

function largestOf(data: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < data.length; i++) largest = Math.max(largest, Math.abs(data[i]!))
  return largest
}

/** Losses and gradient norms of the steps, and the weights they end with where `final` has them. */
export async function checkSteps(
  model: Model,
  lossAt: (index: number) => Tensor,
  frozen: TrainedCase,
  final: Tensors | undefined,
  name: string,
  finalBound = 5e-3,
): Promise<Finding[]> {
  const { accumulate = 1, zero_gradient = [], torch_float32_error } = frozen
  // Bounds are ten times what PyTorch's float32 strays, or more: where Adam amplified more of its noise than that, they move with it.
  const strays = Math.max(1, (10 * (torch_float32_error?.final?.[0] ?? 0)) / finalBound)
  const lossCheck = new Check(`${name}/losses`, 1e-4 * strays)
  const normCheck = new Check(`${name}/grad_norms`, 1e-4 * strays)
  const finalCheck = new Check(`${name}/final`, finalBound * strays)
  const start = new Map<string, Float32Array>()
  for (const [key, parameter] of model.namedParameters()) start.set(key, await readParameter(parameter))
  const groups = parameterGroups(model, {
    encoder_learning_rate: frozen.lr_encoder,
    learning_rate: frozen.lr_other,
  })
  const optimizer = new AdamW(model.gpu, groups, {
    betas: frozen.betas,
    eps: frozen.eps,
    weightDecay: frozen.weight_decay,
  })
  try {
    for (const [step, expected] of frozen.losses.entries()) {
      let loss = 0
      for (let micro = 0; micro < accumulate; micro++) {
        const value = scope(() => {
          const output = lossAt(step * accumulate + micro)
          output.backward({ scale: 1 / accumulate })
          return output.item()
        })
        loss += (await value) / accumulate
      }
      optimizer.step({ maxGradNorm: frozen.max_grad_norm })
      lossCheck.figure(`step ${step + 1}`, loss, expected)
      normCheck.figure(`step ${step + 1}`, await optimizer.gradNorm(), frozen.grad_norms[step]!)
      optimizer.zeroGrad()
    }
    optimizer.synchronize()
    for (const [key, parameter] of model.namedParameters()) {
      // Its true gradient is zero, so Adam amplifies noise.
      if (!final || key.endsWith('k_lin.bias') || zero_gradient.includes(key)) continue
      finalCheck.add(key, await drift(parameter, start.get(key)!, need(final, key).data))
    }
  } finally {
    optimizer.dispose()
  }
  return [...lossCheck.done(), ...normCheck.done(), ...finalCheck.done()]
}
