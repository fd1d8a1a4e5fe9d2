// A cross encoder that learns from clicks against frozen values: scores and losses of the first batch, gradients, optimizer steps.
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { noGrad, scope } from '../../src/autograd/index.ts'
import { collatePadded } from '../../src/data/index.ts'
import { DataError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import type { BatchOf } from '../../src/inputs.ts'
import { CrossEncoder, type CrossEncoderConfig, type CrossEncoderInputs } from '../../src/models/index.ts'
import { need, readTensors, type Tensors } from './frozen.ts'
import { checkGrads, checkSteps, type TrainedCase } from './model-case.ts'
import { Check, type Finding } from './report.ts'
import { startFrom } from './sided-case.ts'

export interface CrossEncoderCase extends TrainedCase {
  /** What is trained on, in words that name losses and their weights. */
  loss: string
  /** Of weights by formula, where no file has them. */
  scale: number
  config: Record<string, number>
  special: Record<'pad' | 'sep' | 'cls' | 'mask', number>
}

/** Whether a case is of a cross encoder with segments. */
export function isCrossEncoder(frozen: Record<string, unknown>): boolean {
  const { config, special, loss } = frozen
  const has = (value: unknown, key: string) => typeof value === 'object' && value !== null && key in value
  return has(config, 'type_vocab_size') && has(special, 'mask') && typeof loss === 'string'
}

type Batch = Partial<BatchOf<CrossEncoderInputs>> & { size: number }

export async function checkCrossEncoderCase(
  gpu: Gpu,
  folder: string,
  frozen: CrossEncoderCase,
): Promise<Finding[]> {
  const name = `${basename(dirname(folder))}/${basename(folder)}`
  const read = (file: string) => readTensors(join(folder, `${file}.safetensors`))
  const [batches, grads, values] = [await read('batches'), await read('grads'), await read('forward')]
  const positions = need(grads, 'propensities.weight').shape[0]!
  const model = new CrossEncoder(configOf(frozen, positions)).to(gpu)
  try {
    await startFrom(model, join(folder, 'weights.safetensors'), frozen.scale)
    model.train()
    const lossAt = (index: number) => model.loss(frozenBatch(batches, index, model))
    const findings = await checkForward(model, frozenBatch(batches, 0, model), values, name)
    findings.push(...(await checkGrads(model, lossAt, grads, name, 2e-4)))
    // A case that is cut down ends with no weights.
    const final = existsSync(join(folder, 'final.safetensors')) ? await read('final') : undefined
    findings.push(...(await checkSteps(model, lossAt, frozen, final, name)))
    return findings
  } finally {
    model.free()
  }
}

/** The configuration that a case's numbers, and the words of its loss, come to. */
function configOf({ config, special, loss }: CrossEncoderCase, rows: number): CrossEncoderConfig {
  const number = (pattern: RegExp) => {
    const found = pattern.exec(loss)
    return found ? Number(found[1]) : undefined
  }
  const most = number(/DLA.*weights at most ([\d.]+)/)
  const pointwise = /propensities\[position\]|with the examination table/.test(loss)
  if (most === undefined && !pointwise)
    throw new DataError(`the case's loss is '${loss}', which no check here knows`)
  const [skip, dwell] = [number(/([\d.]+) \* skip/), number(/([\d.]+) \* mean squared error of log/)]
  return {
    features_config: { text: { dtype: 'token_id' } },
    cls_token_id: special.cls,
    sep_token_id: special.sep,
    mask_token_id: special.mask,
    lists: ['list'],
    label: 'click',
    loss: most === undefined ? 'two_tower' : { name: 'dla', max_weight: most },
    position: { rows },
    mlm: /MLM/.test(loss) && !/no MLM/.test(loss) ? { probability: 0.5 } : null,
    heads: {
      ...(skip === undefined ? {} : { skip: { weight: skip } }),
      ...(dwell === undefined ? {} : { dwell: { weight: dwell } }),
    },
    pretrained_model_config: {
      ...config,
      hidden_dropout_prob: 0,
      attention_probs_dropout_prob: 0,
    } as unknown as CrossEncoderConfig['pretrained_model_config'],
  }
}

function frozenBatch(batches: Tensors, index: number, { config }: CrossEncoder): Batch {
  const get = (name: string) => need(batches, `${index}.${name}`)
  const { pad_token_id, vocab_size, max_position_embeddings } = config.pretrained_model_config
  const ids = get('input_ids')
  const { text, size } = collatePadded(
    { inputIds: ids, attentionMask: get('attention_mask'), tokenTypeIds: get('token_type_ids') },
    {
      padTokenId: pad_token_id,
      vocabSize: vocab_size,
      maxPositions: max_position_embeddings,
      keepFirst: true,
    },
  )
  const [, S] = ids.shape as [number, number]
  const chosen = get('labels').data
  const [at, labels]: [number[], number[]] = [[], []]
  for (let t = 0; t < text!.tokens; t++) {
    const label = chosen[text!.rowIds[t]! * S + text!.positionIds.ids[t]!]!
    if (label < 0) continue
    at.push(t)
    labels.push(label)
  }
  const floats = (name: string) => Float32Array.from(get(name).data)
  const uints = (name: string) => Uint32Array.from(get(name).data)
  return {
    size,
    text: text!,
    masked: {
      inputIds: text!.inputIds,
      positions: Uint32Array.from(at),
      labels: Uint32Array.from(labels),
    },
    lists: uints('starts'),
    labels: { click: floats('clicks') },
    positions: { position: uints('positions') as never },
    skip: uints('skips'),
    dwell: { dwell: floats('dwell') },
  }
}

async function checkForward(
  model: CrossEncoder,
  batch: Batch,
  frozen: Tensors,
  name: string,
): Promise<Finding[]> {
  const check = new Check(`${name}/forward`, 5e-5)
  const reads = scope(() =>
    noGrad(() => {
      const { score, skip, dwell, losses, loss } = model.parts(batch)
      const made = { scores: score, click: score, skip, dwell, ...losses, loss }
      const all = model.config.mlm ? { ...made, selected_logits: model.tokenLogits(batch) } : made
      return Object.entries(all).flatMap(([key, value]) => (value ? [[key, value.read()] as const] : []))
    }),
  )
  const got = new Map<string, Float32Array>()
  for (const [key, reading] of reads) got.set(key, await reading)
  for (const key of frozen.keys()) {
    const values = got.get(key)
    if (!values) throw new DataError(`${name}: the frozen values hold '${key}', which the model has not`)
    check.tensor(key, values, need(frozen, key).data)
  }
  return check.done()
}
