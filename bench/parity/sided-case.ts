// Models of two sides against frozen values: vectors, what they cross to, every query against every ad, bytes; gradients; steps.
import { basename, dirname, join } from 'node:path'
import {
  add,
  bceWithLogits,
  crossEntropy,
  klDiv,
  logSoftmax,
  noGrad,
  reshape,
  scale,
  scope,
  select,
  softmax,
  type Tensor,
  takeRows,
  tensor,
} from '../../src/autograd/index.ts'
import { collatePadded } from '../../src/data/index.ts'
import { DataError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import type { CollatedTokens } from '../../src/inputs.ts'
import { type TwinConfig, TwinModel } from '../../src/models/index.ts'
import { bytesToVectors, vectorsToBytes } from '../../src/models/vector-bytes.ts'
import { loadWeights } from '../../src/train/index.ts'
import { hasFile, need, readTensors, type Tensors } from './frozen.ts'
import { setHashedWeights } from './full-case.ts'
import { checkGrads, checkSteps, type TrainedCase } from './model-case.ts'
import { Check, type Finding } from './report.ts'

/** Models that this file checks. */
export const SIDED: unknown[] = ['twin/cosine', 'twin/residual']

export interface SidedCase extends TrainedCase {
  model: string
  config: TwinCaseConfig
  /** In words: {@link lossOf}. */
  loss: string
  scale: number
}

interface TwinCaseConfig {
  bert: { vocab_size: number; pad_token_id: number }
  tied: boolean
  /** 0: none. */
  downscale: number
  crossing: 'cosine' | 'residual'
  res_size?: number
}

/** @param parts.final whether the weights after the last step are there. */
export async function checkSidedCase(
  gpu: Gpu,
  folder: string,
  frozen: SidedCase,
  { final = true } = {},
): Promise<Finding[]> {
  const name = `${basename(dirname(folder))}/${basename(folder)}`
  const read = (file: string) => readTensors(join(folder, `${file}.safetensors`))
  const batches = await read('batches')
  const batch = (index: number) => twinBatch(batches, index, frozen.config)
  const loss = lossOf(frozen.loss)
  const model = new TwinModel(twinConfig(frozen.config)).to(gpu)
  try {
    if (hasFile(folder, 'weights.safetensors')) await loadWeights(model, join(folder, 'weights.safetensors'))
    else setHashedWeights(model, frozen.scale)
    model.train()
    const lossAt = (index: number) => loss(model.logits(batch(index)), frozenTargets(gpu, batches, index))
    const forward = await checkForward(model, batch(0), () => lossAt(0), await read('forward'), name)
    const grads = await checkGrads(model, lossAt, await read('grads'), name)
    // Two towers through a maximum: PyTorch's own float32 strays further there.
    const bound = frozen.config.crossing === 'residual' ? 2e-2 : 5e-3
    const steps = await checkSteps(
      model,
      lossAt,
      frozen,
      final ? await read('final') : undefined,
      name,
      bound,
    )
    return [...forward, ...grads, ...steps]
  } finally {
    model.free()
  }
}

/** A case's configuration under this library's keys. */
function twinConfig({ bert, tied, downscale, crossing, res_size }: TwinCaseConfig): TwinConfig {
  return {
    features_config: { query: { dtype: 'token_id' }, ad: { dtype: 'token_id' } },
    sides: { query: ['query'], ad: ['ad'] },
    tied,
    downscale: downscale || null,
    crossing:
      crossing === 'residual'
        ? ({ type: crossing, hidden_size: res_size! } as const)
        : ({ type: crossing } as const),
    pretrained_model_config: { ...bert, dropout: 0, attention_dropout: 0 },
  }
}

/** One side's text of batch `index`. */
function frozenText(
  batches: Tensors,
  index: number,
  side: string,
  { pad_token_id, vocab_size }: { pad_token_id: number; vocab_size: number },
): CollatedTokens {
  const get = (name: string) => need(batches, `${index}.${side}_${name}`)
  const { text } = collatePadded(
    { inputIds: get('ids'), attentionMask: get('mask') },
    { padTokenId: pad_token_id, vocabSize: vocab_size },
  )
  return text!
}

function twinBatch(batches: Tensors, index: number, { bert }: TwinCaseConfig) {
  const [query, ad] = ['query', 'ad'].map(side => frozenText(batches, index, side, bert)) as [
    CollatedTokens,
    CollatedTokens,
  ]
  const size = query.cuSeqlens.length - 1
  return { size, rows: Array.from({ length: size }, (_, b) => b), query, ad }
}

interface Targets {
  /** [B, C]. */
  teacher: Tensor
  labels: Uint32Array
}

function frozenTargets(gpu: Gpu, batches: Tensors, index: number): Targets {
  const { shape, data } = need(batches, `${index}.teacher_logits`)
  return {
    teacher: tensor(gpu, Float32Array.from(data), shape),
    labels: Uint32Array.from(need(batches, `${index}.labels`).data),
  }
}

/** The loss that a case says in words. */
function lossOf(words: string): (logits: Tensor, targets: Targets) => Tensor {
  const soft = /sigmoid cross-entropy of the logit against softmax\(teacher \/ ([\d.]+)\)\[1\]/.exec(words)
  if (soft) {
    const T = Number(soft[1])
    return (logits, { teacher }) => {
      const p = select(softmax(scale(teacher, 1 / T)), 1, 1)
      return bceWithLogits(logits, reshape(p, logits.shape))
    }
  }
  const mixed = /^([\d.]+) \* T\^2 \* KL\(T = ([\d.]+)\) \+ ([\d.]+) \* cross-entropy/.exec(words)
  if (!mixed) throw new DataError(`the case's loss is '${words}', which no check here knows`)
  const [share, T, rest] = mixed.slice(1).map(Number) as [number, number, number]
  return (logits, { teacher, labels }) => {
    const divergence = klDiv(logSoftmax(scale(logits, 1 / T)), softmax(scale(teacher, 1 / T)))
    return add(scale(divergence, share * T * T), scale(crossEntropy(logits, labels), rest))
  }
}

async function checkForward(
  model: TwinModel,
  batch: ReturnType<typeof twinBatch>,
  loss: () => Tensor,
  frozen: Tensors,
  name: string,
): Promise<Finding[]> {
  const check = new Check(`${name}/forward`, 1e-5)
  const got = scope(() =>
    noGrad(() => {
      const { query, ad, crossed, logits } = model.parts(batch)
      const grid = Array.from({ length: batch.size }, (_, b) => model.cross(takeRows(query, [b]), ad).read())
      return {
        query_vectors: query.read(),
        ad_vectors: ad.read(),
        crossed: crossed.read(),
        logits: logits.read(),
        loss: loss().read(),
        grid_logits: Promise.all(grid).then(rows => rows.flatMap(row => [...row])),
      }
    }),
  )
  const read = await Promise.all(
    Object.entries(got).map(async ([key, values]) => [key, await values] as const),
  )
  for (const [key, values] of read) check.tensor(key, values, need(frozen, key).data)
  if (!frozen.has('ad_bytes')) return check.done()
  const bytes = await checkBytes(model, batch, frozen, check)
  return [...check.done(), ...bytes.map(finding => ({ ...finding, file: `${name}/bytes` }))]
}

/** Bytes are equal, but one next to it is right where the value lies within 1e-4 of the middle between two. */
async function checkBytes(
  model: TwinModel,
  batch: ReturnType<typeof twinBatch>,
  frozen: Tensors,
  check: Check,
): Promise<Finding[]> {
  const counted = new Check('', 0)
  const { data: wanted, shape } = need(frozen, 'ad_bytes')
  const vectors = need(frozen, 'ad_vectors').data
  const ads = await scope(() => noGrad(() => model.encode('ad', batch.ad).read()))
  const bytes = vectorsToBytes(ads)
  let wrong = Math.abs(bytes.length - wanted.length)
  for (const [i, byte] of bytes.entries()) {
    const place = (vectors[i]! + 1) * 127.5
    const near = Math.abs(place - Math.floor(place) - 0.5) < 1e-4
    if (Math.abs(byte - wanted[i]!) > (near ? 1 : 0)) wrong++
  }
  counted.add('ad_bytes', wrong)
  // From the frozen bytes, so that a rounding of the next byte is not counted twice.
  const back = bytesToVectors(Uint8Array.from(wanted))
  const logits = scope(() =>
    noGrad(() => {
      const { query } = model.parts(batch)
      return model.cross(query, tensor(model.gpu, back, shape)).read()
    }),
  )
  check.tensor('logits_from_bytes', await logits, need(frozen, 'logits_from_bytes').data)
  return counted.done()
}
