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
import type { Module } from '../nn/index.ts'
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

/** Writes a module's parameters as safetensors, in one piece or not at all. */
export async function saveWeights(model: Module, path: string): Promise<void> {
  expectModule('saveWeights', model)
  expectPath('saveWeights: path', path)
  await writeSafetensors(path, weightTensors(model), METADATA)
}

function weightTensors(model: Module): TensorStream[] {
  return [...model.namedParameters()].map(([name, parameter]) => ({
    name,
    dtype: 'F32',
    shape: parameter.shape,
    chunks: valuesOf(parameter),
  }))
}

async function* valuesOf(parameter: Parameter): AsyncGenerator<Uint8Array> {
  yield* readPieces(parameter.gpu, parameter.chunks())
}

/**
 * Reads a module's parameters from a safetensors file. Every tensor is checked before the first value is set.
 * @throws CheckpointError naming the file and a tensor that is missing, extra, or of another shape.
 */
export async function loadWeights(model: Module, path: string): Promise<void> {
  expectModule('loadWeights', model)
  expectPath('loadWeights: path', path)
  const file = await openSafetensors(path)
  try {
    const parameters = new Map(model.namedParameters())
    checkNames(parameters, file)
    await model.gpu.compiled()
    for (const [name, parameter] of parameters) await loadParameter(parameter, name, file)
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
    checkNames(new Map(model.namedParameters()), file)
  } finally {
    await file.close()
  }
}

/** All that does not fit is named at once. */
function checkNames(parameters: Map<string, Parameter>, { path, tensors }: SafetensorsFile): void {
  const faults: string[] = []
  for (const [name, { shape }] of parameters) {
    const info = tensors.get(name)
    if (!info) faults.push(`tensor '${name}' is missing, expected with shape [${shape}]`)
    else if (info.shape.join() !== shape.join())
      faults.push(`tensor '${name}' has shape [${info.shape}], expected [${shape}]`)
    else if (!['F32', 'F16', 'BF16', 'F64'].includes(info.dtype))
      faults.push(`tensor '${name}' has dtype ${info.dtype}, expected a floating-point one`)
  }
  for (const name of tensors.keys())
    if (!parameters.has(name)) faults.push(`tensor '${name}' is not part of the model`)
  if (faults.length) throw new CheckpointError(`${path}: ${faults.join('; ')}`)
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
  await files.settle(folder, CHECKSUMS_FILE)
  const configPath = join(folder, CONFIG_FILE)
  const model = createModel<M>(parseConfiguration(await readJson(configPath), configPath))
  model.tokenizer = await tokenizerOf(model, folder)
  model.to(gpu)
  try {
    await loadWeights(model, join(folder, WEIGHTS_FILE))
  } catch (error) {
    model.free()
    throw error
  }
  return model.eval()
}
