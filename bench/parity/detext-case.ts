// DeText's rankers against frozen values: vectors of both sides, similarities, numbers, scores; gradients; steps.
import { basename, dirname, join } from 'node:path'
import { noGrad, scope } from '../../src/autograd/index.ts'
import { DataError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import type { AnyBatch, PackedTokens } from '../../src/inputs.ts'
import { type DetextConfig, DetextModel, type DetextParts } from '../../src/models/index.ts'
import { loadWeights } from '../../src/train/index.ts'
import { hasFile, need, readTensors, type Tensors } from './frozen.ts'
import { checkGrads, checkSteps, type TrainedCase } from './model-case.ts'
import { Check, type Finding } from './report.ts'

interface CaseConfig {
  user_fields: string[]
  doc_fields: string[]
  /** How many numbers a document has. */
  dense: number
  dense_mean: number[]
  dense_std: number[]
  /** Ids of each column, and of each of the shallow tower's. */
  sparse: number[]
  sparse_size: number
  shallow: number[]
  tasks: number
  task_weights?: number[]
  encoder: 'bert' | 'cnn' | 'lstm'
  bert?: Record<string, number>
  /** Rows of the word table; of a cnn, the last two are the boundary words. */
  rows?: number
  word?: number
  windows?: number[]
  filters?: number
  units: number
  sim: string[]
  hidden: number[]
}

export interface DetextCase extends TrainedCase {
  config: CaseConfig
  loss: string
}

/** Whether a case is of such a model. */
export const isDetext = ({ config }: Partial<Record<string, unknown>>): boolean =>
  ['encoder', 'sim', 'doc_fields'].every(key => Object.hasOwn(Object(config), key))

export async function checkDetextCase(gpu: Gpu, folder: string, frozen: DetextCase): Promise<Finding[]> {
  const name = `${basename(dirname(folder))}/${basename(folder)}`
  const read = (file: string) => readTensors(join(folder, `${file}.safetensors`))
  const model = new DetextModel(configOf(frozen)).to(gpu)
  try {
    await loadWeights(model, join(folder, 'weights.safetensors'))
    model.train()
    const batches = await read('batches')
    const lossAt = (index: number) => model.loss(batchOf(batches, index, frozen.config))
    const findings = await checkForward(
      model,
      batchOf(batches, 0, frozen.config),
      await read('forward'),
      name,
    )
    findings.push(...(await checkGrads(model, lossAt, await read('grads'), name, 1e-4)))
    const final = hasFile(folder, 'final.safetensors') ? await read('final') : undefined
    findings.push(...(await checkSteps(model, lossAt, frozen, final, name)))
    return findings
  } finally {
    model.free()
  }
}

const LOSSES: Record<string, DetextConfig['loss']> = {
  pointwise: 'pointwise',
  pairwise: 'pairwise',
  listwise: 'softmax',
  listwise_weighted: 'softmax',
}

const columns = (kind: string, n: number) => Array.from({ length: n }, (_, i) => `${kind}_${i}`)

function configOf({ config, loss }: DetextCase): DetextConfig {
  const { user_fields, doc_fields, sparse, shallow } = config
  if (!LOSSES[loss]) throw new DataError(`the case's loss is '${loss}', which no check here knows`)
  const [dense, sparseNames, shallowNames] = [
    columns('dense', config.dense),
    columns('sparse', sparse.length),
    columns('shallow', shallow.length),
  ]
  const tables = (names: string[], rows: number[], embedding_size: number) =>
    names.map((name, i) => [name, { dtype: 'categorical', vocab_size: rows[i]!, embedding_size }])
  return {
    features_config: Object.fromEntries([
      ...['query', ...user_fields, ...doc_fields].map(name => [name, { dtype: 'token_id' }]),
      ...dense.map(name => [name, { dtype: 'numerical' }]),
      ...tables(sparseNames, sparse, config.sparse_size),
      ...tables(shallowNames, shallow, 1),
    ]),
    query: 'query',
    ...{ user_fields, doc_fields, dense, sparse: sparseNames, shallow: shallowNames },
    ...{ dense_mean: config.dense_mean, dense_std: config.dense_std },
    ...encoderOf(config),
    similarities: config.sim as NonNullable<DetextConfig['similarities']>,
    hidden_sizes: config.hidden,
    ...(config.task_weights ? { task: 'task', task_weights: config.task_weights } : {}),
    loss: LOSSES[loss]!,
  }
}

function encoderOf(config: CaseConfig): Pick<DetextConfig, 'encoder' | 'pretrained_model_config'> {
  const { encoder: type, units, rows = 0, word: word_size, windows, filters, bert } = config
  if (type === 'bert') {
    const pretrained = { ...bert, dropout: 0, attention_dropout: 0 } as unknown as NonNullable<
      DetextConfig['pretrained_model_config']
    >
    return { encoder: { type, units, dropout: 0 }, pretrained_model_config: pretrained }
  }
  if (type === 'cnn') return { encoder: { type, vocab_size: rows - 2, word_size, windows, filters } }
  return { encoder: { type, vocab_size: rows, word_size, units, bidirectional: true } }
}

function batchOf(batches: Tensors, index: number, config: CaseConfig): AnyBatch {
  const get = (name: string) => need(batches, `${index}.${name}`)
  const starts = Uint32Array.from(get('starts').data)
  const size = starts.at(-1)!
  const column = (name: string, i: number) => {
    const { shape, data } = get(name)
    return Array.from({ length: size }, (_, row) => data[row * shape[1]! + i]!)
  }
  const named = (kind: string, n: number) =>
    columns(kind, n).map((name, i) => [name, column(kind, i)] as const)
  const ids = [...named('sparse', config.sparse.length), ...named('shallow', config.shallow.length)]
  const { user_fields, doc_fields } = config
  const text = (name: string) => textOf(get(`${name}_ids`), get(`${name}_mask`), config)
  return {
    ...{ size, rows: Array.from({ length: size }, (_, row) => row), lists: starts },
    query: text('query'),
    ...Object.fromEntries(user_fields.map(name => [`user_${name}`, text(name)])),
    ...Object.fromEntries(doc_fields.map(name => [`doc_${name}`, text(name)])),
    ids: Object.fromEntries(ids.map(([name, values]) => [name, Uint32Array.from(values)])),
    dense: Object.fromEntries(
      named('dense', config.dense).map(([name, values]) => [name, Float32Array.from(values)]),
    ),
    task: Uint32Array.from(get('task').data),
    labels: { label: Float32Array.from(get('labels').data) },
  }
}

/** The kept tokens of a padded text; of a cnn without the boundary words, which the model puts there itself. */
function textOf(
  ids: { shape: number[]; data: ArrayLike<number> },
  mask: { data: ArrayLike<number> },
  config: CaseConfig,
): PackedTokens {
  const [rows, S] = ids.shape as [number, number]
  const bert = config.encoder === 'bert'
  const boundary = config.encoder === 'cnn' ? Math.max(1, Math.max(...config.windows!) - 1) : 0
  const [inputIds, positionIds, rowIds, cuSeqlens]: number[][] = [[], [], [], [0]]
  for (let row = 0; row < rows; row++) {
    const places = Array.from({ length: S }, (_, s) => s).filter(
      s => mask.data[row * S + s] || (bert && s === 0),
    )
    for (const s of places.slice(boundary, places.length - boundary)) {
      inputIds!.push(ids.data[row * S + s]!)
      positionIds!.push(s)
      rowIds!.push(row)
    }
    cuSeqlens!.push(inputIds!.length)
  }
  const kept = rowIds!.map((row, t) => Number(mask.data[row * S + positionIds![t]!] !== 0))
  const uints = (values: number[]) => Uint32Array.from(values)
  return {
    ...{ inputIds: uints(inputIds!), positionIds: uints(positionIds!), rowIds: uints(rowIds!) },
    ...{ cuSeqlens: uints(cuSeqlens!), keyMask: uints(kept) },
  }
}

/** Values of the first batch, all read before any is compared. */
async function checkForward(
  model: DetextModel,
  batch: AnyBatch,
  frozen: Tensors,
  name: string,
): Promise<Finding[]> {
  const check = new Check(`${name}/forward`, 1e-5)
  const reading = scope(() =>
    noGrad(() => {
      const parts = Object.entries(model.parts(batch) as DetextParts & Record<string, DetextParts['users']>)
      return [...parts, ['loss', model.loss(batch)] as const].map(
        ([key, value]) => [key, value.read()] as const,
      )
    }),
  )
  const read = await Promise.all(reading.map(async ([key, values]) => [key, await values] as const))
  for (const [key, values] of read) check.tensor(key, values, need(frozen, key).data)
  return check.done()
}
