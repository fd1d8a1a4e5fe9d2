// A user's model as the text of a module, to be changed in one place, and who may be asked what is wrong with it.
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as assert from 'uvu/assert'
import { parseTrainerConfig } from '../../src/config/index.ts'
import { loadDataset, parquetBytes } from '../../src/data/index.ts'
import { KernelgradError } from '../../src/errors.ts'
import { openGpu } from '../../src/gpu/index.ts'
import type { Inputs } from '../../src/inputs.ts'
import type { Model } from '../../src/models/index.ts'
import { Trainer } from '../../src/train/index.ts'
import { kernelgrad } from '../cli/capture.ts'

export const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-wrong-'))
mkdirSync(join(folder, 'node_modules'))
symlinkSync(resolve('.'), join(folder, 'node_modules/kernelgrad'), 'junction')
export const gpu = await openGpu()

/** Ends what a test file has of it. */
export function end(): void {
  gpu.close()
  rmSync(folder, { recursive: true })
}

export const SOURCE = `
import { concat, crossEntropy, Evaluation, Model, nn, softmax, tensor } from 'kernelgrad'

export default class Small extends Model {
  static architecture = 'Small'
  static parse = () => ({ architecture: 'Small' })
  config = { architecture: 'Small' }
  inputs = {
    codes: { kind: 'ids', columns: { city: 5 } },
    numbers: { kind: 'floats', columns: ['price'] },
    labels: { kind: 'classes', column: 'clicked', classes: 2, trainOnly: true },
  }
  city = new nn.Embedding(5, 3)
  head = new nn.Linear(4, 2)
  logits({ codes, numbers, size }) {
    return this.head.forward(concat([this.city.forward(codes.city), tensor(this.gpu, numbers.price, [size, 1])]))
  }
  loss(batch) {
    return crossEntropy(this.logits(batch), tensor(this.gpu, batch.labels))
  }
  scores(batch) {
    return softmax(this.logits(batch))
  }
  scoreNames() {
    return [null, 'probability']
  }
  metrics(options) {
    return new Evaluation(2, options)
  }
}
`
const ROWS = 24
const column = (f: (i: number) => unknown) => Array.from({ length: ROWS }, (_, i) => f(i))
export const file = join(folder, 'rows.parquet')
writeFileSync(
  file,
  new Uint8Array(
    await parquetBytes([
      { name: 'city', kind: 'int64', data: column(i => i % 5) },
      { name: 'price', kind: 'double', data: column(i => i / 7) },
      { name: 'clicked', kind: 'int64', data: column(i => i % 2) },
    ]),
  ),
)
export const SETTINGS = { max_steps: 2, per_device_train_batch_size: 8, gradient_accumulation_steps: 1 }
const configPath = join(folder, 'config.json')
writeFileSync(configPath, JSON.stringify({ trainer: SETTINGS }))

let models = 0
/** A module with the source changed; every one has a name of its own, as modules are loaded once. */
export function moduleOf(source: string): string {
  const path = join(folder, `model-${models++}.js`)
  writeFileSync(path, source)
  return path
}
export function changed(from: string, to: string): string {
  assert.ok(SOURCE.includes(from), from)
  return SOURCE.replace(from, to)
}

export async function messageOf(work: () => unknown): Promise<string> {
  try {
    await work()
  } catch (error) {
    assert.instance(error, KernelgradError, String((error as Error).stack))
    return (error as Error).message
  }
  throw new Error('nothing was refused')
}

export const INPUTS: Inputs = {
  codes: { kind: 'ids', columns: { city: 5 } },
  numbers: { kind: 'floats', columns: ['price'] },
  labels: { kind: 'classes', column: 'clicked', classes: 2 },
}
export const settings = () => parseTrainerConfig(SETTINGS, 'the test')

/** What Trainer says to the model of a module; without evaluation data too. */
export async function byTrainer(path: string): Promise<string> {
  const { default: Class } = await import(pathToFileURL(path).href)
  const train = await loadDataset(file, { inputs: INPUTS })
  const output = join(folder, `run-${models}`)
  const said: string[] = []
  for (const evaluation of [undefined, train]) {
    let steps = 0
    const callbacks = [{ onStepEnd: () => void steps++ }]
    said.push(
      await messageOf(() => {
        const model: Model = new Class().to(gpu, { seed: 1 })
        const options = { model, config: settings(), train, output, callbacks }
        return new Trainer(evaluation ? { ...options, evaluation } : options).train()
      }),
    )
    assert.is(steps, 0)
  }
  assert.not.ok(existsSync(join(output, 'checkpoint-2')))
  assert.is(said[0], said[1])
  return said[0]!
}

/** What the command line says, without 'error: '. */
export async function byCommand(architecture: string): Promise<{ code: number; said: string }> {
  const out = join(folder, `out-${models}`)
  const args = ['--config', configPath, '--train', file, '--out', out]
  const { code, err } = await kernelgrad('train', '--architecture', architecture, ...args)
  assert.not.ok(existsSync(join(out, 'model.safetensors')))
  const lines = err.trimEnd().split('\n')
  assert.match(lines.at(-1)!, /^error: /, err)
  return { code, said: lines.at(-1)!.replace('error: ', '') }
}
