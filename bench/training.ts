// A model in training on random batches: what is timed, recorded and compiled is this.
import { autocast, scope, type Tensor } from '../src/autograd/index.ts'
import type { FeatureBatch } from '../src/config/index.ts'
import { maskTokens } from '../src/data/mask-tokens.ts'
import type { Gpu } from '../src/gpu/index.ts'
import { createModel, DistilBertForMaskedLM, type Model } from '../src/models/index.ts'
import { AdamW, GradScaler } from '../src/optim/index.ts'
import { parameterGroups } from '../src/train/index.ts'
import { randomBatch, type StepModel, type StepSize, stepModel } from './models.ts'

export interface TrainingOptions {
  size: StepSize
  /** Batches to make; each step takes one of its own. */
  batches: number
  dropout?: boolean
  /** Masked-language pretraining of the model's encoder, every token of the vocabulary a class. */
  pretrain?: boolean
  /** Mixed precision. */
  fp16?: boolean
}

/** Weights on a device, an optimizer, and batches. */
export interface Training {
  model: Model
  optimizer: AdamW
  first: FeatureBatch
  /** When its batches were made and the device was first asked, as `performance.now()` tells. */
  began: number
  /** Records step `i`: forward, backward, clipping and AdamW of batch `i`, and submits it. */
  record(i: number): void
  /** The losses of the steps recorded so far; waits for them. */
  losses(): Promise<number[]>
  dispose(): void
}

/** What a batch's loss is, and where its tokens are. */
interface Trained {
  model: Model
  loss(batch: number): Tensor
  first: FeatureBatch
}

function trainedModel(built: StepModel, count: number, pretrain: boolean): Trained {
  const batches = Array.from({ length: count }, (_, i) => randomBatch(built, 1 + i))
  const first = batches[0]!
  if (!pretrain) {
    const model = createModel(built.config)
    return { model, first, loss: i => model.forward(batches[i]!).loss! }
  }
  const model = new DistilBertForMaskedLM({
    features_config: built.config.features_config,
    pretrained_model_config: built.config.pretrained_model_config,
  })
  const { text, masked } = model.inputs
  const hidden = batches.map(({ text: tokens, size }, i) => {
    const rows = Array.from({ length: size }, (_, row) => row)
    return {
      size,
      rows,
      text: tokens!,
      masked: maskTokens(tokens!, masked, text, { seed: 1, epoch: i, rows }),
    }
  })
  return { model, first, loss: i => model.loss(hidden[i]!) }
}

/** Puts a model on a device, with its optimizer; nothing is trained yet. */
export function startTraining(
  gpu: Gpu,
  { size, batches, dropout = false, pretrain = false, fp16 = false }: TrainingOptions,
): Training {
  const { model, loss: lossOf, first } = trainedModel(stepModel(size, { dropout }), batches, pretrain)
  const began = performance.now()
  model.to(gpu, { seed: 1 })
  const groups = parameterGroups(model, { encoder_learning_rate: 1e-4, learning_rate: 1e-3 })
  const optimizer = new AdamW(gpu, groups)
  const scaler = fp16 ? new GradScaler(gpu) : undefined
  const losses = gpu.acquire(4 * batches, 'losses')
  let recorded = 0
  return {
    model,
    optimizer,
    first,
    began,
    record(i) {
      scope(() => {
        const loss = autocast(fp16 ? 'f16' : 'f32', () => lossOf(i))
        const scaled = scaler ? scaler.scale(loss) : loss
        scaled.backward()
        gpu.copy(loss.view, { ...losses, offset: 4 * i }, 4)
      })
      optimizer.step({ maxGradNorm: 1, scaler })
      optimizer.zeroGrad()
      recorded = Math.max(recorded, i + 1)
    },
    losses: async () => [...(await gpu.readFloats({ ...losses, size: 4 * recorded }))],
    dispose() {
      gpu.release(losses)
      optimizer.dispose()
      scaler?.dispose()
      model.free()
    },
  }
}
