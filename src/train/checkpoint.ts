// Models on disk, as transformers lays them out: config.json and model.safetensors under PyTorch's parameter names.
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DenseParameter, type Parameter, writeParameter } from '../autograd/index.ts'
import { parseModelConfig } from '../config/index.ts'
import { readJson, reason, writeJson } from '../data/files.ts'
import { openSafetensors, type SafetensorsFile, writeSafetensors } from '../data/safetensors-file.ts'
import { CheckpointError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import type { Module } from '../nn/index.ts'
import { type ClickModel, createModel, tokenizerOf } from './model.ts'

export const WEIGHTS_FILE = 'model.safetensors'
export const CONFIG_FILE = 'config.json'
const READ_ROWS = 1 << 22 // elements read at once

async function* valueChunks(parameter: Parameter): AsyncGenerator<Uint8Array> {
  for (const { view, size } of parameter.chunks()) {
    yield new Uint8Array(await parameter.gpu.readBytes({ ...view, size: size * 4 }))
  }
}

/** Writes a module's parameters as safetensors, in one piece or not at all. */
export async function saveWeights(model: Module, path: string): Promise<void> {
  const entries = [...model.namedParameters()].map(([name, parameter]) => ({
    name,
    dtype: 'F32' as const,
    shape: parameter.shape,
    chunks: valueChunks(parameter),
  }))
  await writeSafetensors(path, entries, { format: 'pt' })
}

/**
 * Reads a module's parameters from a safetensors file. Every tensor is checked before the first value is set.
 * @throws CheckpointError naming the file and a tensor that is missing, extra, or of another shape.
 */
export async function loadWeights(model: Module, path: string): Promise<void> {
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
  const file = await openSafetensors(path)
  try {
    checkNames(new Map(model.namedParameters()), file)
  } finally {
    await file.close()
  }
}

function checkNames(parameters: Map<string, Parameter>, { path, tensors }: SafetensorsFile): void {
  for (const [name, { shape }] of parameters) {
    const info = tensors.get(name)
    if (!info)
      throw new CheckpointError(`${path}: tensor '${name}' is missing, expected with shape [${shape}]`)
    if (info.shape.join() !== shape.join()) {
      throw new CheckpointError(`${path}: tensor '${name}' has shape [${info.shape}], expected [${shape}]`)
    }
    if (!['F32', 'F16', 'BF16', 'F64'].includes(info.dtype)) {
      throw new CheckpointError(
        `${path}: tensor '${name}' has dtype ${info.dtype}, expected a floating-point one`,
      )
    }
  }
  for (const name of tensors.keys()) {
    if (!parameters.has(name)) throw new CheckpointError(`${path}: tensor '${name}' is not part of the model`)
  }
}

/** Sets a parameter's values from the tensor of that name, whose shape is checked. */
export async function loadParameter(
  parameter: Parameter,
  name: string,
  file: SafetensorsFile,
): Promise<void> {
  if (parameter instanceof DenseParameter) {
    writeParameter(parameter, Float32Array.from((await file.read(name)) as ArrayLike<number>))
    return
  }
  const { width, gpu } = parameter
  const rowsAtOnce = Math.max(1, Math.floor(READ_ROWS / width))
  for (const { view, firstRow, rows } of parameter.shards) {
    for (let row = 0; row < rows; row += rowsAtOnce) {
      const end = Math.min(row + rowsAtOnce, rows)
      const values = await file.readRows(name, firstRow + row, firstRow + end)
      gpu.upload(view, Float32Array.from(values as ArrayLike<number>), row * width * 4)
    }
  }
}

/**
 * Makes a training run's folder.
 * @throws CheckpointError where nothing can be written into it, or it holds a model of an earlier run.
 */
export async function prepareOutputFolder(folder: string): Promise<void> {
  const probe = join(folder, `.${process.pid}.tmp`)
  let names: string[]
  try {
    await mkdir(folder, { recursive: true })
    names = await readdir(folder)
    await writeFile(probe, '')
    await rm(probe)
  } catch (error) {
    const isFile = (error as NodeJS.ErrnoException).code === 'EEXIST'
    const why = isFile ? 'it is a file, not a folder' : reason(error)
    throw new CheckpointError(`cannot write into ${folder}: ${why}`, { cause: error })
  }
  const old = names.find(name => name === WEIGHTS_FILE || /^checkpoint-\d+$/.test(name))
  if (old) throw new CheckpointError(`${folder} already holds ${old} of an earlier run; name a new folder`)
}

/**
 * Saves a model and its configuration into a folder that appears whole or not at all; an older folder of that name is
 * replaced.
 * @throws CheckpointError when the folder cannot be written.
 */
export async function saveModel(
  model: ClickModel,
  folder: string,
  extra: Record<string, unknown> = {},
): Promise<void> {
  const fresh = `${folder}.${process.pid}.tmp`
  try {
    await mkdir(fresh, { recursive: true })
    await saveWeights(model, join(fresh, WEIGHTS_FILE))
    await writeJson(join(fresh, CONFIG_FILE), model.config)
    const files = { ...model.tokenizer?.files, ...extra }
    for (const [name, value] of Object.entries(files)) await writeJson(join(fresh, name), value)
    await rm(folder, { recursive: true, force: true })
    await rename(fresh, folder)
  } catch (error) {
    await rm(fresh, { recursive: true, force: true }).catch(() => {}) // The first error says more.
    if (error instanceof Error && 'syscall' in error) {
      throw new CheckpointError(`cannot write ${folder}: ${reason(error)}`, { cause: error })
    }
    throw error
  }
}

/** Opens a saved model on a device, in evaluation mode, with its tokenizer where it reads text. */
export async function loadModel(gpu: Gpu, folder: string): Promise<ClickModel> {
  const configPath = join(folder, CONFIG_FILE)
  const config = parseModelConfig(await readJson(configPath), configPath)
  const tokenizer = await tokenizerOf(config, folder)
  const model: ClickModel = createModel(config).to(gpu)
  model.tokenizer = tokenizer
  try {
    await loadWeights(model, join(folder, WEIGHTS_FILE))
  } catch (error) {
    model.free()
    throw error
  }
  return model.eval() as ClickModel
}
