// A model as an ONNX file: what other programs run it by.
import { files } from '#files'
import type { Parameter } from '../autograd/index.ts'
import { expectOptions, shown } from '../check.ts'
import { isObject } from '../config/schema.ts'
import type { WriteFile } from '../data/file-system.ts'
import { isThere, readJson, writeFileAtomic } from '../data/files.ts'
import { decodeTensor, itemSize } from '../data/safetensors.ts'
import { openSafetensors, type SafetensorsFile } from '../data/safetensors-file.ts'
import { ArgumentError, ConfigError } from '../errors.ts'
import type { Model } from '../models/index.ts'
import { Counter } from '../nn/index.ts'
import { PREPARATION_FILE, parseDocument } from '../prepare/document.ts'
import type { Preparation } from '../prepare/index.ts'
import { CONFIG_FILE, checkWeights, describeModel } from '../train/checkpoint.ts'
import { CHECKSUMS_FILE } from '../train/checkpoint-folder.ts'
import { expectModel, expectPath } from '../train/checks.ts'
import { readPieces } from '../train/device-tensors.ts'
import { WEIGHTS_FILE } from '../train/index.ts'
import { VERSION } from '../wgsl/version.ts'
import { Graph, type OnnxTensor } from './graph.ts'
import { WRITTEN } from './models.ts'
import { int, type Later, nested, type Piece, sizeOf, text } from './protobuf.ts'

/** LayerNormalization is there from 17 on; version 8 of the format came with it. */
const OPSET = 17
const IR_VERSION = 8
/** Protocol Buffers' messages are no larger; weights beyond it lie in a file of their own. */
const MOST_BYTES = 2 ** 31 - 1
/** Weights are read so many at a time. */
const PIECE = 1 << 22

/** What else goes into the file. */
export interface OnnxOptions {
  /** What raw rows were prepared by; of a folder that keeps one, that one unless given. */
  preparation?: Pick<Preparation, 'document'>
}

/** What was written. */
export interface OnnxExport {
  /** The file. */
  path: string
  /** Beside it, where weights are too large for one file. */
  dataPath?: string
  /** Of the file, and of the weights beside it. */
  bytes: number
  architecture: string
  /** Version of ONNX's operators. */
  opset: number
  /** What the caller feeds. */
  inputs: OnnxTensor[]
  /** What the caller gets. */
  outputs: OnnxTensor[]
}

/** Architectures that {@link exportOnnx} writes. */
export const onnxArchitectures = (): string[] =>
  [...WRITTEN.keys()].map(known => (known as { architecture: string }).architecture)

/**
 * Writes a model as ONNX, in evaluation mode and float32, in one piece or not at all. Inputs have the names of the features: a category is int64
 * [batch], a number float32 [batch], a text `input_ids` and `attention_mask`, int64 [batch, sequence] (of two-sided models `query_input_ids`, … and
 * `ad_input_ids`, …; of cross encoders `token_type_ids` beside them). Outputs are `logits` and `probabilities`, [batch, classes], or of rankers what
 * `predict` writes, [batch]. Weights have the names and values of model.safetensors. The file's metadata hold `kernelgrad_version`, `architecture`,
 * `config`, and `preparation` where there is one. Weights of more than 2 GiB go into `<path>.data` beside it.
 *
 * @param model a model on a device, or the folder of a saved one, which needs no device.
 * @throws ConfigError naming a model that has no graph here, or a feature whose name is that of another tensor; DataError where the file cannot
 * be written.
 *
 * @example
 * ```ts
 * import { exportOnnx } from 'kernelgrad/onnx'
 *
 * const { inputs, outputs } = await exportOnnx('runs/mine', 'model.onnx')
 * ```
 */
export async function exportOnnx(
  model: Model | string,
  path: string,
  options: OnnxOptions = {},
): Promise<OnnxExport> {
  expectPath('exportOnnx: path', path)
  expectOptions('exportOnnx: options', options, ['preparation'])
  const { preparation } = options
  if (preparation !== undefined && !isObject(preparation?.document))
    throw new ArgumentError(
      `exportOnnx: preparation is ${shown(preparation)}, expected a Preparation, as Preparation.read() gives`,
    )
  const document = preparation?.document
  if (typeof model === 'string') {
    expectPath('exportOnnx: model', model)
    return exportFolder(model, path, document)
  }
  expectModel('exportOnnx', model)
  return writeOnnx(model, path, document, parameter => readPieces(parameter.gpu, parameter.chunks()))
}

async function exportFolder(folder: string, path: string, given: unknown): Promise<OnnxExport> {
  const { join } = files
  const model = await describeExported(folder)
  const weights = await openSafetensors(join(folder, WEIGHTS_FILE))
  try {
    const kept = join(folder, PREPARATION_FILE)
    const found = given === undefined && (await isThere(kept))
    const document = found ? parseDocument(await readJson(kept), kept) : given
    return await writeOnnx(model, path, document, (_, name) => stored(weights, name))
  } finally {
    await weights.close()
  }
}

/**
 * The model of a folder, without memory, held against its weights.
 * @throws ConfigError or CheckpointError naming the file; ConfigError for a model that has no graph, by its name
 */
export async function describeExported(folder: string): Promise<Model> {
  const path = files.join(folder, CONFIG_FILE)
  await files.settle(folder, CHECKSUMS_FILE)
  const config = await readJson(path)
  if (isObject(config) && typeof config.architecture === 'string') expectWritten(config.architecture, path)
  const model = await describeModel(folder)
  writtenOf(model)
  await checkWeights(model, files.join(folder, WEIGHTS_FILE))
  return model
}

function expectWritten(architecture: string, where: string): void {
  const known = onnxArchitectures()
  if (!known.includes(architecture))
    throw new ConfigError(
      `${where}: a ${architecture} is not written as ONNX, expected one of ${known.join(', ')}`,
    )
}

/** How a model is written; found by its class, as a subclass may compute something else. */
function writtenOf(model: Model) {
  const found = WRITTEN.get(model.constructor)
  if (found) return found
  throw new ConfigError(
    `exportOnnx: a ${model.constructor.name} is not written as ONNX, expected one of ${onnxArchitectures().join(', ')}, and none of their subclasses`,
  )
}

/** The tensor of a name as float32, whatever it is stored as. */
async function* stored(file: SafetensorsFile, name: string): AsyncGenerator<Uint8Array> {
  const { dtype, begin, end } = file.tensors.get(name)!
  const [bytes, step] = [end - begin, PIECE * itemSize(dtype)]
  for (let at = 0; at < bytes; at += step) {
    const values = decodeTensor(dtype, await file.readBytes(name, at, Math.min(at + step, bytes)))
    const floats = values instanceof Float32Array ? values : Float32Array.from(values as Float64Array)
    yield new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength)
  }
}

/**
 * Writes the graph of a model with its weights.
 * @param mostBytes of the file with the weights inside; beyond it they go into another.
 */
export async function writeOnnx(
  model: Model,
  path: string,
  preparation: unknown,
  values: (parameter: Parameter, name: string) => AsyncIterable<Uint8Array>,
  mostBytes = MOST_BYTES,
): Promise<OnnxExport> {
  const { names, write } = writtenOf(model)
  const named = new Map<Parameter, string>()
  for (const [name, one] of model.namedState()) if (!(one instanceof Counter)) named.set(one, name)
  const graph = new Graph(named, names(model))
  write(graph, model)
  const { architecture } = model.config
  const metadata = {
    kernelgrad_version: VERSION,
    architecture,
    config: JSON.stringify(model.config),
    ...(preparation === undefined ? {} : { preparation: JSON.stringify(preparation) }),
  }
  const laterOf = (parameter: Parameter): Later => ({
    size: 4 * parameter.size,
    bytes: () => values(parameter, named.get(parameter)!),
  })
  const inside = modelProto(graph.encode(architecture, laterOf), metadata)
  const one = sizeOf(inside) <= mostBytes
  const beside = `${path}.data`
  let bytes = sizeOf(inside)
  if (one) await writeFileAtomic(path, file => writePieces(file, inside))
  else {
    const data = [...graph.weights.values()].map(laterOf)
    await writeFileAtomic(beside, file => writePieces(file, data))
    const outside = modelProto(graph.encode(architecture, laterOf, files.basename(beside)), metadata)
    await writeFileAtomic(path, file => writePieces(file, outside))
    bytes = sizeOf(data) + sizeOf(outside)
  }
  const { inputs, outputs } = graph
  const where = one ? { path } : { path, dataPath: beside }
  return { ...where, bytes, architecture, opset: OPSET, inputs, outputs }
}

function modelProto(graph: Piece[], metadata: Record<string, string>): Piece[] {
  return [
    int(1, IR_VERSION),
    ...text(2, 'kernelgrad'),
    ...text(3, VERSION),
    ...nested(8, [...text(1, ''), int(2, OPSET)]),
    ...Object.entries(metadata).flatMap(([key, value]) => nested(14, [...text(1, key), ...text(2, value)])),
    ...nested(7, graph),
  ]
}

/** Small pieces are joined before they are written. */
async function writePieces(file: WriteFile, pieces: readonly Piece[]): Promise<void> {
  let waiting: Uint8Array[] = []
  const flush = async () => {
    if (waiting.length) await file.write(joined(waiting))
    waiting = []
  }
  for (const piece of pieces) {
    if (piece instanceof Uint8Array) {
      waiting.push(piece)
      continue
    }
    await flush()
    for await (const bytes of piece.bytes()) await file.write(bytes)
  }
  await flush()
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(sizeOf(pieces))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}
