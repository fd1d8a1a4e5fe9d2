// The notebook's own size. Only figures are frozen: weights come from a formula, so that 574 MB need no file.
import { basename, join } from 'node:path'
import { DenseParameter, type Parameter, scope } from '../../src/autograd/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { fnv1a } from '../../src/hash.ts'
import { TextTabularModel } from '../../src/models/index.ts'
import { LayerNorm, type Module } from '../../src/nn/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { parameterGroups } from '../../src/train/index.ts'
import { type CaseConfig, frozenBatch, modelConfig, readTensors } from './frozen.ts'
import { Check, type Finding } from './report.ts'

export interface FullCase {
  config: CaseConfig
  parameters: number
  scale: number
  lr_encoder: number
  lr_other: number
  max_grad_norm: number
  steps: {
    loss: number
    grad_norm: number
    grad_norms: Record<string, number>
    logits_row0: number[]
    weight_norms: Record<string, number>
  }[]
}

export async function checkFullCase(gpu: Gpu, folder: string, frozen: FullCase): Promise<Finding[]> {
  const name = basename(folder)
  const lossCheck = new Check(`${name}/loss`, 1e-5)
  const normCheck = new Check(`${name}/norms`, 1e-4)
  const logitCheck = new Check(`${name}/logits`, 1e-4)
  const countCheck = new Check(`${name}/parameters`, 0)
  const model = new TextTabularModel(modelConfig(frozen.config, 'TextTabularModel')).to(gpu)
  countCheck.figure('count', model.numParameters(), frozen.parameters)
  const parameters = new Map(model.namedParameters())
  setHashedWeights(model, frozen.scale)
  const optimizer = new AdamW(
    gpu,
    parameterGroups(model, { encoder_learning_rate: frozen.lr_encoder, learning_rate: frozen.lr_other }),
  )
  try {
    const batches = await readTensors(join(folder, 'batches.safetensors'))
    for (const [step, expected] of frozen.steps.entries()) {
      const { loss, logits } = scope(() => {
        const output = model.forward(frozenBatch(batches, step, frozen.config, false))
        const read = output.logits.read()
        output.loss!.backward()
        return { loss: output.loss!.item(), logits: read }
      })
      lossCheck.figure(`step ${step + 1}`, await loss, expected.loss)
      logitCheck.tensor(
        `step ${step + 1}`,
        (await logits).subarray(0, expected.logits_row0.length),
        expected.logits_row0,
      )
      for (const [key, norm] of Object.entries(expected.grad_norms)) {
        normCheck.figure(`step ${step + 1}, gradient of ${key}`, await gradNormOf(parameters.get(key)!), norm)
      }
      optimizer.step({ maxGradNorm: frozen.max_grad_norm })
      normCheck.figure(`step ${step + 1}, gradient`, await optimizer.gradNorm(), expected.grad_norm)
      optimizer.zeroGrad()
      for (const [key, norm] of Object.entries(expected.weight_norms)) {
        normCheck.figure(`step ${step + 1}, ${key}`, await weightNormOf(parameters.get(key)!), norm)
      }
    }
  } finally {
    optimizer.dispose()
    model.free()
  }
  return [...countCheck.done(), ...lossCheck.done(), ...normCheck.done(), ...logitCheck.done()]
}

/** Elements `start` to `start + size - 1` of a parameter: murmur3's finalizer over the flat index, 24 high bits. */
export function hashed(
  name: string,
  start: number,
  size: number,
  scale: number,
  center = 0,
): Float32Array<ArrayBuffer> {
  const seed = fnv1a(name)
  const out = new Float32Array(size)
  for (let i = 0; i < size; i++) {
    let x = (Math.imul(start + i, 0x9e3779b9) + seed) | 0
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
    x ^= x >>> 16
    const weight = Math.fround((2 * ((x >>> 8) / 2 ** 24) - 1) * scale)
    out[i] = center + weight
  }
  return out
}

/** Every parameter from its own name; LayerNorm weights stand around 1, the padding row stays zero. */
export function setHashedWeights(model: Module, scale: number): void {
  const norms = new Set<Parameter>()
  for (const [, module] of model.namedModules()) if (module instanceof LayerNorm) norms.add(module.weight)
  for (const [name, parameter] of model.namedParameters()) {
    for (const { view, start, size } of parameter.chunks()) {
      const values = hashed(name, start, size, scale, norms.has(parameter) ? 1 : 0)
      if (!(parameter instanceof DenseParameter) && parameter.paddingIdx !== undefined) {
        const row = parameter.paddingIdx * parameter.width - start
        if (row >= 0 && row < size) values.fill(0, row, row + parameter.width)
      }
      model.gpu.upload(view, values)
    }
  }
}

async function gradNormOf(parameter: Parameter): Promise<number> {
  if (parameter instanceof DenseParameter) return norm([await parameter.readGrad()])
  return norm(await Promise.all(parameter.grads.map(({ values }) => values.read())))
}

async function weightNormOf(parameter: Parameter): Promise<number> {
  let squares = 0
  for (const { view, size } of parameter.chunks()) {
    squares += norm([await parameter.gpu.readFloats({ ...view, size: size * 4 })]) ** 2
  }
  return Math.sqrt(squares)
}

function norm(parts: Float32Array[]): number {
  let squares = 0
  for (const part of parts) for (let i = 0; i < part.length; i++) squares += part[i]! ** 2
  return Math.sqrt(squares)
}
