// Models on disk, as transformers lays them out: config.json and model.safetensors under PyTorch's parameter names.
import { files } from '#files'
import { expectGpu } from '../autograd/checks.ts'
import { type Parameter, valuesChanged } from '../autograd/index.ts'
import { isThere, readJson } from '../data/files.ts'
import {
  openSafetensors,
  type SafetensorsFile,
  type TensorStream,
  writeSafetensors,
} from '../data/safetensors-file.ts'
import { CheckpointError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { createModel, type Model, parseConfiguration, tokenizerOf } from '../models/index.ts'
import { Counter, type Module } from '../nn/index.ts'
import {
  CHECKSUMS_FILE,
  type CheckpointFile,
  expectReplaceable,
  lock,
  WEIGHTS_FILE,
  writeFolder,
} from './checkpoint-folder.ts'
import { expectModel, expectModule, expectPath } from './checks.ts'
import { readPieces, writePieces } from './device-tensors.ts'

const { join } = files

/** Name of the file with a model's configuration. */
export const CONFIG_FILE = 'config.json'
const METADATA = { format: 'pt' }

/** Writes a module's parameters and buffers as safetensors, in one piece or not at all. */
export async function saveWeights(model: Module, path: string): Promise<void> {
  expectModule('saveWeights', model)
  expectPath('saveWeights: path', path)
  await writeSafetensors(path, weightTensors(model), METADATA)
}

function weightTensors(model: Module): TensorStream[] {
  return [...model.namedState()].map(([name, one]) => ({
    name,
    dtype: one instanceof Counter ? 'I64' : 'F32',
    shape: one.shape,
    chunks: one instanceof Counter ? countOf(one) : valuesOf(one),
  }))
}

async function* countOf({ value }: Counter): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(BigInt64Array.of(BigInt(value)).buffer)
}

async function* valuesOf(parameter: Parameter): AsyncGenerator<Uint8Array> {
  yield* readPieces(parameter.gpu, parameter.chunks())
}

/**
 * Reads a module's parameters and buffers from a safetensors file. Every tensor is checked before the first value is set.
 * @throws CheckpointError naming the file and a tensor that is missing, extra, or of another shape.
 */
export async function loadWeights(model: Module, path: string): Promise<void> {
  expectModule('loadWeights', model)
  expectPath('loadWeights: path', path)
  const file = await openSafetensors(path)
  try {
    const state = new Map(model.namedState())
    checkNames(state, file)
    const counts = await readCounts(state, file)
    await model.gpu.compiled()
    for (const [name, one] of state) if (!(one instanceof Counter)) await loadParameter(one, name, file)
    for (const [counter, value] of counts) counter.value = value
  } finally {
    await file.close()
  }
}

/**
 * Checks the header of a safetensors file against a module, which needs no device for it.
 * @throws CheckpointError as {@link loadWeights}.
 */
export async function checkWeights(model: Module, path: string): Promise<void> {
  expectModule('checkWeights', model, { placed: false })
  expectPath('checkWeights: path', path)
  const file = await openSafetensors(path)
  try {
    checkNames(new Map(model.namedState()), file)
  } finally {
    await file.close()
  }
}

/** All that does not fit is named at once. */
function checkNames(state: Map<string, Parameter | Counter>, { path, tensors }: SafetensorsFile): void {
  const faults: string[] = []
  for (const [name, one] of state) {
    const { shape } = one
    const dtypes = one instanceof Counter ? ['I64'] : ['F32', 'F16', 'BF16', 'F64']
    const info = tensors.get(name)
    if (!info) faults.push(`tensor '${name}' is missing, expected with shape [${shape}]`)
    else if (info.shape.join() !== shape.join())
      faults.push(`tensor '${name}' has shape [${info.shape}], expected [${shape}]`)
    else if (!dtypes.includes(info.dtype)) {
      const wanted = one instanceof Counter ? 'I64' : 'a floating-point one'
      faults.push(`tensor '${name}' has dtype ${info.dtype}, expected ${wanted}`)
    }
  }
  for (const name of tensors.keys())
    if (!state.has(name)) faults.push(`tensor '${name}' is not part of the model`)
  if (faults.length) throw new CheckpointError(`${path}: ${faults.join('; ')}`)
}

/** @throws CheckpointError for what is no count */
async function readCounts(
  state: Map<string, Parameter | Counter>,
  file: SafetensorsFile,
): Promise<[Counter, number][]> {
  const counts: [Counter, number][] = []
  for (const [name, one] of state) {
    if (!(one instanceof Counter)) continue
    const value = Number((await file.read(name))[0])
    if (!(Number.isSafeInteger(value) && value >= 0))
      throw new CheckpointError(`${file.path}: tensor '${name}' is ${value}, expected a count of at least 0`)
    counts.push([one, value])
  }
  return counts
}

/** Sets a parameter's values from the tensor of that name, whose shape is checked. */
export async function loadParameter(
  parameter: Parameter,
  name: string,
  file: SafetensorsFile,
): Promise<void> {
  await writePieces(parameter.gpu, parameter.chunks(), file, name)
  valuesChanged(parameter)
}

/** The files that make a model: weights, configuration, and those of its tokenizer. */
export function modelFiles(model: Model): CheckpointFile[] {
  return [
    { name: WEIGHTS_FILE, tensors: weightTensors(model), metadata: METADATA },
    { name: CONFIG_FILE, json: model.config },
    ...Object.entries(model.tokenizer?.files ?? {}).map(([name, json]) => ({ name, json })),
  ]
}

/**
 * Saves a model and its configuration into a folder that appears whole or not at all; an older one that it saved is replaced.
 * @throws CheckpointError when the folder cannot be written, or holds anything else, such as a run's checkpoints; FolderInUseError while training writes into it.
 *
 * @example
 * ```ts
 * import { loadModel, saveModel } from 'kernelgrad'
 *
 * await saveModel(model, 'saved')
 * const again = await loadModel(gpu, 'saved')
 * ```
 */
export async function saveModel(
  model: Model,
  folder: string,
  extra: Record<string, unknown> = {},
): Promise<void> {
  expectModel('saveModel', model)
  expectPath('saveModel: folder', folder)
  const more = Object.entries(extra).map(([name, json]) => ({ name, json }))
  const release = (await isThere(folder)) ? await lock(folder) : undefined
  try {
    if (release) await expectReplaceable(folder)
    await writeFolder(folder, [...modelFiles(model), ...more])
  } finally {
    await release?.()
  }
}

/** Opens a saved model on a device, in evaluation mode, with its tokenizer where it reads text. */
export async function loadModel<M extends Model = Model>(gpu: Gpu, folder: string): Promise<M> {
  expectGpu('loadModel: gpu', gpu)
  expectPath('loadModel: folder', folder)
  return placed(gpu, await describeModel<M>(folder), folder)
}

/** The model of a folder with its tokenizer, on no device yet. */
export async function describeModel<M extends Model = Model>(folder: string): Promise<M> {
  await files.settle(folder, CHECKSUMS_FILE)
  const configPath = join(folder, CONFIG_FILE)
  const model = createModel<M>(parseConfiguration(await readJson(configPath), configPath))
  model.tokenizer = await tokenizerOf(model, folder)
  return model
}

/** {@link loadModel} of a model that only answers: its parameters are frozen, and have no memory for gradients. */
export async function loadFrozen(gpu: Gpu, folder: string): Promise<Model> {
  const model = await describeModel(folder)
  for (const parameter of model.parameters()) parameter.requiresGrad = false
  return placed(gpu, model, folder)
}

async function placed<M extends Model>(gpu: Gpu, model: M, folder: string): Promise<M> {
  model.to(gpu)
  try {
    await loadWeights(model, join(folder, WEIGHTS_FILE))
  } catch (error) {
    model.free()
    throw error
  }
  return model.eval()
}
