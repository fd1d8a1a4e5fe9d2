// The losses of distillation on given logits: values and the student's gradients, computed in float64.
import { basename, dirname, join } from 'node:path'
import { crossEntropy, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { type DistillationLoss, distillation, kl, mixed, softLabels } from '../../src/losses/index.ts'
import { need, readTensors } from './frozen.ts'
import { Check, type Finding } from './report.ts'

export interface DistillationCase {
  /** Values by loss, by the name of the logits. */
  cases: Record<string, Record<string, number>>
}

/** Names of the losses end in their temperature and share: `kl_T2`, `mixed_T4_a0.9`. */
const NAME = /^([a-z_]+?)(?:_T([\d.]+))?(?:_a([\d.]+))?$/

export const isDistillation = ({ cases }: { cases?: unknown }): boolean =>
  typeof cases === 'object' &&
  cases !== null &&
  Object.values(cases).every(losses => Object.keys(losses ?? {}).some(name => /^kl_T/.test(name)))

export async function checkDistillationCase(
  gpu: Gpu,
  folder: string,
  { cases }: DistillationCase,
): Promise<Finding[]> {
  const tensors = await readTensors(join(folder, 'losses.safetensors'))
  const file = `${basename(dirname(folder))}/${basename(folder)}`
  const check = new Check(file, 1e-5)
  for (const [tag, losses] of Object.entries(cases)) {
    for (const [name, value] of Object.entries(losses)) {
      const one = name === 'binary_soft'
      const from = need(tensors, `${tag}.${one ? 'z' : 'student'}`)
      const shape = one ? [from.data.length, 1] : from.shape
      const student = tensor(gpu, Float32Array.from(from.data), shape, { requiresGrad: true })
      const input = (key: string) => need(tensors, `${tag}.${key}`)
      const loss = scope(() => {
        const loss = lossOf(name, student, input).keep()
        loss.backward()
        return loss
      })
      check.figure(`${tag}.${name}`, await loss.item(), value)
      const frozen = need(tensors, `${tag}.${name}.${one ? 'dz' : 'dstudent'}`)
      check.tensor(`${tag}.${name} gradient`, await student.grad!.read(), frozen.data)
      for (const made of [loss, student]) made.dispose()
    }
  }
  return check.done()
}

function lossOf(
  name: string,
  student: Tensor,
  input: (key: string) => { shape: number[]; data: ArrayLike<number> },
): Tensor {
  const given = (key: string) => {
    const { shape, data } = input(key)
    return tensor(student.gpu, Float32Array.from(data), shape)
  }
  if (name === 'binary_soft') return softLabels(student, given('p'))
  const [, kind, T, alpha] = NAME.exec(name)!
  const temperature = T === undefined ? 1 : Number(T)
  const teacher = given('teacher')
  if (kind !== 'mixed') return distillation(student, teacher, { loss: kind as DistillationLoss, temperature })
  const hard = crossEntropy(student, Uint32Array.from(input('labels').data))
  return mixed(kl(student, teacher, { temperature }), hard, Number(alpha))
}
