// Encoders as transformers saves them: a folder with config.json and model.safetensors, whole or in shards.
import { files } from '#files'
import { expectGpu } from '../autograd/checks.ts'
import { expectOptions, shown } from '../check.ts'
import { parseEncoderConfig, parseSavedEncoder, type ResolvedEncoderConfig } from '../config/index.ts'
import { isObject } from '../config/schema.ts'
import { isThere, readJson, writeJson } from '../data/files.ts'
import { openSafetensors, type SafetensorsFile } from '../data/safetensors-file.ts'
import { ArgumentError, CheckpointError, ConfigError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { DistilBertForMaskedLM } from '../models/index.ts'
import { BertModel, createEncoder, DistilBertModel, type Encoder } from '../nn/index.ts'
import { CONFIG_FILE, loadParameter, saveWeights } from './checkpoint.ts'
import { WEIGHTS_FILE } from './checkpoint-folder.ts'
import { expectModule, expectPath } from './checks.ts'

/** How to read an encoder's folder. */
export interface PretrainedOptions {
  /** Told what was left aside. */
  note?: (text: string) => void
  /** What the encoder's model calls it: of a folder of several encoders, the one of that name is taken. */
  role?: string
}

const { join } = files
const INDEX_FILE = `${WEIGHTS_FILE}.index.json`
/** What a file may put before an encoder's names: nothing, or where a model with a head keeps its encoder. */
const PREFIXES = ['', 'distilbert.', 'bert.']
const LISTED = 8

/**
 * The encoder of a folder on a device, in evaluation mode, as `AutoModel.from_pretrained` gives it: DistilBERT or BERT, float32,
 * float16 or bfloat16. Heads and what else stands beside the encoder are left aside, with a note.
 * @throws ConfigError for a config.json that is not supported, naming the key; CheckpointError listing every tensor that is
 * missing, extra or of another shape.
 *
 * @example
 * ```ts
 * import { fromPretrained } from 'kernelgrad'
 *
 * const encoder = await fromPretrained(gpu, 'distilbert', { note: console.warn })
 * ```
 */
export async function fromPretrained(
  gpu: Gpu,
  folder: string,
  options: PretrainedOptions = {},
): Promise<Encoder> {
  expectGpu('fromPretrained: gpu', gpu)
  expectPath('fromPretrained: folder', folder)
  expectOptions('fromPretrained: options', options, ['note', 'role'])
  const encoder = createEncoder(await pretrainedConfig(folder, options)).to(gpu)
  try {
    await loadEncoder(encoder, folder, options)
  } catch (error) {
    encoder.free()
    throw error
  }
  return encoder.eval()
}

/**
 * Encoder settings of a folder's config.json; of a click model's folder, those of its encoder.
 * @throws ConfigError naming file and key, for what is not supported; keys that no encoder reads are left aside, with a note.
 */
export async function pretrainedConfig(
  folder: string,
  { note }: PretrainedOptions = {},
): Promise<ResolvedEncoderConfig> {
  expectPath('pretrainedConfig: folder', folder)
  const path = join(folder, CONFIG_FILE)
  if (!(await isThere(folder)))
    throw new ConfigError(`there is no folder ${folder}; save the model there with save_pretrained first`)
  const json = await readJson(path)
  const own = isObject(json) ? json.pretrained_model_config : undefined
  const config =
    own === undefined || own === null ? parseSavedEncoder(json, path, note) : parseEncoderConfig(own, path)
  if (config.model_type !== 'bert') return config
  const { tensors, close } = await openWeights(folder)
  await close()
  const pooled = [...tensors.keys()].some(name => /^((query_|ad_)?bert\.)?pooler\.dense\.weight$/.test(name))
  return { ...config, add_pooling_layer: pooled }
}

/**
 * Sets an encoder's values from a folder. Every tensor is checked before the first value is set.
 * @throws CheckpointError listing every tensor that is missing, extra or of another shape.
 */
export async function loadEncoder(
  encoder: Encoder,
  folder: string,
  { note, role }: PretrainedOptions = {},
): Promise<void> {
  expectEncoderModule('loadEncoder', encoder)
  expectPath('loadEncoder: folder', folder)
  const pretraining = await pretrainingOf(folder)
  const file = withoutMask(await openWeights(folder), pretraining)
  try {
    const { names, aside } = match(encoder, file, role)
    // The head that pretraining predicts tokens with is not meant to go on.
    const head = pretraining && aside.every(name => PREDICTS_TOKENS.test(name))
    if (aside.length && !head) note?.(`${file.path}: left aside ${listed(aside)}`)
    await encoder.gpu.compiled()
    for (const [name, parameter] of encoder.namedParameters())
      await loadParameter(parameter, names.get(name)!, file)
    if (pretraining) clearPadding(encoder)
  } finally {
    await file.close()
  }
}

/**
 * Checks the weights of a folder against encoder settings, which needs no device.
 * @throws CheckpointError as {@link loadEncoder}.
 * @internal
 */
export async function checkEncoder(
  config: ResolvedEncoderConfig,
  folder: string,
  { role }: PretrainedOptions = {},
): Promise<void> {
  const file = withoutMask(await openWeights(folder), await pretrainingOf(folder))
  try {
    match(createEncoder(config), file, role)
  } finally {
    await file.close()
  }
}

/** What a folder of masked-language pretraining by this library says of its mask; nothing of another folder. */
async function pretrainingOf(folder: string): Promise<{ appended: boolean } | undefined> {
  const json = await readJson(join(folder, CONFIG_FILE))
  if (!isObject(json) || json.architecture !== DistilBertForMaskedLM.architecture) return undefined
  return { appended: json.mask_token_id === null || json.mask_token_id === undefined }
}

/** The weights without the row that pretraining appended to the word table for its mask. */
function withoutMask(file: SafetensorsFile, pretraining: { appended: boolean } | undefined): SafetensorsFile {
  if (!pretraining?.appended) return file
  const tensors = new Map(
    [...file.tensors].map(([name, info]) => {
      const [rows, width] = info.shape as [number, number]
      return [name, name.endsWith(WORDS) ? { ...info, shape: [rows - 1, width] } : info] as const
    }),
  )
  return { ...file, tensors }
}
const WORDS = 'embeddings.word_embeddings.weight'
const PREDICTS_TOKENS = /^vocab_(transform|layer_norm|projector)\./

/** With a tied head, pretraining moves the padding row too; it is to start from zero. */
function clearPadding({ embeddings, gpu, config }: Encoder): void {
  const { weight } = embeddings.word_embeddings
  const row = config.pad_token_id
  const shard = weight.shards.find(({ firstRow, rows }) => row >= firstRow && row < firstRow + rows)!
  const bytes = weight.width * 4
  gpu.clear({ ...shard.view, offset: shard.view.offset + (row - shard.firstRow) * bytes, size: bytes })
}

/** Saves an encoder as a folder that transformers opens. */
export async function savePretrained(encoder: Encoder, folder: string): Promise<void> {
  expectEncoderModule('savePretrained', encoder)
  expectPath('savePretrained: folder', folder)
  await files.makeFolder(folder)
  await saveWeights(encoder, join(folder, WEIGHTS_FILE))
  const architectures = [encoder.constructor.name]
  await writeJson(join(folder, CONFIG_FILE), { model_type: 'distilbert', ...encoder.config, architectures })
}

function expectEncoderModule(where: string, encoder: unknown): void {
  expectModule(where, encoder)
  if (!(encoder instanceof DistilBertModel || encoder instanceof BertModel))
    throw new ArgumentError(`${where}: encoder is ${shown(encoder)}, expected a DistilBertModel or BertModel`)
}

/** Which tensor each parameter takes, by name, and the tensors that are not the encoder's. */
function match(
  encoder: Encoder,
  { path, tensors }: SafetensorsFile,
  role?: string,
): { names: Map<string, string>; aside: string[] } {
  const parameters = new Map(encoder.namedParameters())
  const prefixes = role === undefined ? PREFIXES : [...new Set([`${role}.`, ...PREFIXES])]
  const prefix = prefixes.find(before => tensors.has(before + WORDS))
  if (prefix === undefined) {
    const others = [...tensors.keys()].filter(name => name.endsWith(WORDS))
    const wanted = prefixes.flatMap(before => (before ? [`'${before}'`] : [])).join(' or ')
    throw new CheckpointError(
      `${path} holds no encoder: expected ${WORDS}, bare or after ${wanted}${others.length ? `; it has ${others.join(' and ')}` : ''}`,
    )
  }
  const parts = [...encoder.namedChildren()].map(([name]) => `${prefix}${name}.`)
  const names = new Map<string, string>()
  const [faults, aside]: [string[], string[]] = [[], []]
  for (const name of tensors.keys()) {
    const own = modernName(name.slice(prefix.length))
    if (name.startsWith(prefix) && parameters.has(own)) names.set(own, name)
    else if (parts.some(part => name.startsWith(part)) && !name.endsWith('.position_ids'))
      faults.push(`${name} is no part of it`)
    else aside.push(name)
  }
  for (const [name, { shape }] of parameters) {
    const info = tensors.get(names.get(name) ?? '')
    if (!info) faults.push(`${prefix}${name} is missing`)
    else if (info.shape.join() !== shape.join())
      faults.push(`${info.name} has shape [${info.shape.join(', ')}], expected [${shape.join(', ')}]`)
    else if (!['F32', 'F16', 'BF16', 'F64'].includes(info.dtype))
      faults.push(`${info.name} has dtype ${info.dtype}, expected a floating-point one`)
  }
  if (faults.length)
    throw new CheckpointError(`${path} does not fit ${encoder.constructor.name}: ${listed(faults)}`)
  return { names, aside }
}

/** Older files call LayerNorm's weight and bias gamma and beta. */
const modernName = (name: string) =>
  name.replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias')

const listed = (items: string[]) =>
  items.length > LISTED
    ? `${items.slice(0, LISTED).join('; ')}; and ${items.length - LISTED} more`
    : items.join('; ')

/** The folder's weights, as one file whether they are one or several. */
async function openWeights(folder: string): Promise<SafetensorsFile> {
  const [path, indexPath] = [join(folder, WEIGHTS_FILE), join(folder, INDEX_FILE)]
  if (await isThere(path)) return openSafetensors(path)
  if (await isThere(indexPath)) return openShards(folder, indexPath)
  const others = await files.list(folder).catch(() => [])
  const pickled = others.find(name => /^pytorch_model.*\.bin$/.test(name))
  const hint = pickled
    ? `; it holds ${pickled}, which model.save_pretrained of transformers writes as safetensors`
    : ''
  throw new CheckpointError(`${folder} holds neither ${WEIGHTS_FILE} nor ${INDEX_FILE}${hint}`)
}

async function openShards(folder: string, path: string): Promise<SafetensorsFile> {
  const json = await readJson(path)
  const found = isObject(json) ? json.weight_map : undefined
  if (!isObject(found)) throw new CheckpointError(`${path} has no weight_map`)
  for (const [name, file] of Object.entries(found)) {
    if (typeof file !== 'string' || !/^[^/\\\\]+\.safetensors$/.test(file)) {
      const got = JSON.stringify(file).slice(0, 60)
      throw new CheckpointError(
        `${path}: weight_map['${name}'] is ${got}, expected the name of a safetensors file beside it`,
      )
    }
  }
  const weight_map = found as Record<string, string>
  const shards = new Map<string, SafetensorsFile>()
  const close = async () => {
    for (const shard of shards.values()) await shard.close()
  }
  try {
    for (const name of new Set(Object.values(weight_map)))
      shards.set(name, await openSafetensors(join(folder, name)))
    const holder = (name: string) => shards.get(weight_map[name] ?? '')!
    const tensors = Object.keys(weight_map).map(name => {
      const info = holder(name).tensors.get(name)
      if (!info)
        throw new CheckpointError(`${path}: '${name}' is said to be in ${weight_map[name]}, and is not there`)
      return [name, info] as const
    })
    return {
      path,
      metadata: {},
      tensors: new Map(tensors),
      read: name => holder(name).read(name),
      readRows: (name, begin, end) => holder(name).readRows(name, begin, end),
      readBytes: (name, begin, end) => holder(name).readBytes(name, begin, end),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
