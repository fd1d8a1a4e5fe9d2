// Models of two sides against frozen values: vectors, what they cross to, every query against every ad, bytes; gradients; steps.
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { crossEntropy, noGrad, scope, type Tensor, takeRows, tensor } from '../../src/autograd/index.ts'
import type { EncoderConfig } from '../../src/config/index.ts'
import { collatePadded } from '../../src/data/index.ts'
import { DataError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import type { CollatedTokens } from '../../src/inputs.ts'
import { kl, mixed, softLabels, softProbability } from '../../src/losses/index.ts'
import {
  bytesToVectors,
  LateFusionModel,
  type Model,
  TextTabularModel,
  TwinModel,
  vectorsToBytes,
} from '../../src/models/index.ts'
import { loadWeights } from '../../src/train/index.ts'
import { type CaseConfig, frozenBatch, modelConfig, need, readTensors, type Tensors } from './frozen.ts'
import { setHashedWeights } from './full-case.ts'
import { checkGrads, checkSteps, type TrainedCase } from './model-case.ts'
import { Check, type Finding } from './report.ts'

/** Whether a case is of such a model: it says how vectors cross, or who teaches. */
export const isSided = ({ model, config, teacher }: Partial<Record<string, unknown>>): boolean =>
  /^(twin|distill)\//.test(String(model)) &&
  Object.hasOwn(Object(teacher ?? config), teacher ? 'features' : 'crossing')

export interface SidedCase extends TrainedCase {
  model: string
  config: TwinCaseConfig | CaseConfig
  /** Of a student. */
  teacher?: CaseConfig
  /** Of the teacher's weights where no file has them. */
  teacher_scale?: number
  /** In words: {@link lossOf}. */
  loss: string
  scale: number
}

interface TwinCaseConfig {
  bert: Record<string, number>
  tied: boolean
  /** 0: none. */
  downscale: number
  crossing: 'cosine' | 'residual'
  res_size?: number
}

/** What is checked of a model on a batch of frozen values. */
interface Subject {
  model: TwinModel | LateFusionModel
  logits(index: number): Tensor
  forward(name: string, loss: () => Tensor): Promise<Finding[]>
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
  const [batches, values] = [await read('batches'), await read('forward')]
  const loss = lossOf(frozen.loss)
  const { model, logits, forward } = (frozen.teacher ? studentOf : twinOf)(frozen, batches, values)
  model.to(gpu)
  try {
    await startFrom(model, join(folder, 'weights.safetensors'), frozen.scale)
    model.train()
    const lossAt = (index: number) => loss(logits(index), frozenTargets(gpu, batches, index))
    const findings = await forward(name, () => lossAt(0))
    findings.push(...(await checkGrads(model, lossAt, await read('grads'), name)))
    // Two towers through a maximum: PyTorch's own float32 strays further there.
    const bound = 'crossing' in frozen.config && frozen.config.crossing === 'residual' ? 2e-2 : 5e-3
    const last = final ? await read('final') : undefined
    findings.push(...(await checkSteps(model, lossAt, frozen, last, name, bound)))
    if (frozen.teacher) findings.push(...(await checkTeacher(gpu, folder, frozen, batches, name)))
    return findings
  } finally {
    model.free()
  }
}

/** Weights of a file, or by formula where there is none. */
export async function startFrom(model: Model, path: string, scale: number): Promise<void> {
  if (existsSync(path)) await loadWeights(model, path)
  else setHashedWeights(model, scale)
}

/** A two-sided batch: each side's text, under the name that the case has it. */
function sidedBatch(batches: Tensors, index: number, bert: Record<string, number>, ad: string) {
  const texts = ['query', ad].map(side => frozenText(batches, index, side, bert))
  const [query, other] = texts as [CollatedTokens, CollatedTokens]
  const size = query.cuSeqlens.length - 1
  return { size, rows: Array.from({ length: size }, (_, b) => b), query, ad: other }
}

/** TwinBERT: vectors, what they cross to, every query against every ad, bytes. */
function twinOf(frozen: SidedCase, batches: Tensors, values: Tensors): Subject {
  const config = frozen.config as TwinCaseConfig
  const { bert, tied, downscale, crossing: type, res_size } = config
  const model = new TwinModel({
    features_config: { query: { dtype: 'token_id' }, ad: { dtype: 'token_id' } },
    sides: { query: ['query'], ad: ['ad'] },
    tied,
    downscale: downscale || null,
    crossing: type === 'cosine' ? { type } : { type, ...(res_size ? { hidden_size: res_size } : {}) },
    pretrained_model_config: encoderOf(bert),
  })
  const batch = (index: number) => sidedBatch(batches, index, bert, 'ad')
  return {
    model,
    logits: index => model.logits(batch(index)),
    async forward(name, loss) {
      const check = new Check(`${name}/forward`, 1e-5)
      const first = batch(0)
      await checkValues(check, values, () => {
        const { query, ad, crossed, logits } = model.parts(first)
        const grid = Array.from({ length: first.size }, (_, b) =>
          model.cross(takeRows(query, [b]), ad).read(),
        )
        return {
          query_vectors: query.read(),
          ad_vectors: ad.read(),
          crossed: crossed.read(),
          logits: logits.read(),
          loss: loss().read(),
          grid_logits: Promise.all(grid).then(rows => Float32Array.from(rows.flatMap(row => [...row]))),
        }
      })
      const bytes = values.has('ad_bytes') ? await checkBytes(model, first, values, check, name) : []
      return [...check.done(), ...bytes]
    },
  }
}

/** CTR-BERT's student: vectors, what enters the MLP, logits. */
function studentOf(frozen: SidedCase, batches: Tensors, values: Tensors): Subject {
  const config = frozen.config as CaseConfig
  const { features } = config
  const texts = Object.keys(features).filter(name => features[name]!.dtype === 'token_id')
  const sides = {
    query: texts.filter(name => name.includes('query')),
    ad: texts.filter(name => !name.includes('query')),
  }
  // Columns are called tokenized_<side>, and a batch's tensors <side>_ids.
  const ad = sides.ad[0]!.replace(/^tokenized_/, '')
  const { architecture: _, ...shared } = modelConfig(config, undefined)
  const model = new LateFusionModel({ ...shared, sides })
  const batch = (index: number) => ({
    ...frozenBatch(renamed(batches), index, config, false),
    ...sidedBatch(batches, index, config.bert, ad),
  })
  return {
    model,
    logits: index => model.logits(batch(index)),
    async forward(name, loss) {
      const check = new Check(`${name}/forward`, 1e-5)
      await checkValues(check, values, () => {
        const { query, ad: other, mlpInput, logits } = model.parts(batch(0))
        return {
          query_vectors: query.read(),
          [`${ad}_vectors`]: other.read(),
          mlp_input: mlpInput.read(),
          logits: logits.read(),
          loss: loss().read(),
        }
      })
      return check.done()
    },
  }
}

/** The same batches with both texts joined, as a cross encoder reads them. */
const renamed = (batches: Tensors): Tensors =>
  new Map(
    [...batches].map(([name, values]) => [
      name.replace('.joined_ids', '.input_ids').replace('.joined_mask', '.attention_mask'),
      values,
    ]),
  )

/** The teacher's own weights give the logits that the student was taught with, for every batch. */
async function checkTeacher(
  gpu: Gpu,
  folder: string,
  { teacher, teacher_scale = 0 }: SidedCase,
  batches: Tensors,
  name: string,
): Promise<Finding[]> {
  const check = new Check(`${name}/teacher`, 1e-5)
  const model = new TextTabularModel(modelConfig(teacher!, 'TextTabularModel')).to(gpu).eval()
  try {
    await startFrom(model, join(folder, 'teacher_weights.safetensors'), teacher_scale)
    const joined = renamed(batches)
    for (let index = 0; batches.has(`${index}.teacher_logits`); index++) {
      const batch = frozenBatch(joined, index, teacher!, false)
      const logits = await scope(() => noGrad(() => model.parts(batch).logits.read()))
      check.tensor(`batch ${index}`, logits, need(batches, `${index}.teacher_logits`).data)
    }
  } finally {
    model.free()
  }
  return check.done()
}

const encoderOf = (bert: Record<string, number>) =>
  ({ ...bert, dropout: 0, attention_dropout: 0 }) as unknown as EncoderConfig

/** One side's text of batch `index`. */
function frozenText(
  batches: Tensors,
  index: number,
  side: string,
  { pad_token_id, vocab_size }: Record<string, number>,
): CollatedTokens {
  const get = (name: string) => need(batches, `${index}.${side}_${name}`)
  const { text } = collatePadded(
    { inputIds: get('ids'), attentionMask: get('mask') },
    { padTokenId: pad_token_id!, vocabSize: vocab_size! },
  )
  return text!
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
    const temperature = Number(soft[1])
    return (logits, { teacher }) => softLabels(logits, softProbability(teacher, { temperature }))
  }
  const both = /^([\d.]+) \* T\^2 \* KL\(T = ([\d.]+)\) \+ ([\d.]+) \* cross-entropy/.exec(words)
  if (!both) throw new DataError(`the case's loss is '${words}', which no check here knows`)
  const [alpha, temperature, rest] = both.slice(1).map(Number) as [number, number, number]
  if (Math.abs(alpha + rest - 1) > 1e-9)
    throw new DataError(`the case's loss is '${words}', expected shares that add up to 1`)
  return (logits, { teacher, labels }) =>
    mixed(kl(logits, teacher, { temperature }), crossEntropy(logits, labels), alpha)
}

/** Values of the first batch, all read before any is compared, so that what is missing leaves no read behind. */
async function checkValues(
  check: Check,
  frozen: Tensors,
  make: () => Record<string, Promise<Float32Array>>,
): Promise<void> {
  const got = Object.entries(scope(() => noGrad(make)))
  const values = await Promise.all(got.map(([, reading]) => reading))
  for (const [i, [key]] of got.entries()) check.tensor(key, values[i]!, need(frozen, key).data)
}

/** Bytes are equal, but one next to it is right where the value lies within 1e-4 of the middle between two. */
async function checkBytes(
  model: TwinModel,
  batch: ReturnType<typeof sidedBatch>,
  frozen: Tensors,
  check: Check,
  name: string,
): Promise<Finding[]> {
  const counted = new Check(`${name}/bytes`, 0)
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
