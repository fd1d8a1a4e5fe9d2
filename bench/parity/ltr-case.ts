// Losses over lists: values and gradients.
import { basename, join } from 'node:path'
import { scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import { DataError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import {
  lambdaRank,
  listNet,
  listwise,
  listwiseNormed,
  pairwise,
  pointwise,
  pointwiseLists,
} from '../../src/losses/index.ts'
import { need, readTensors } from './frozen.ts'
import { Check, type Finding } from './report.ts'

export interface LtrCase {
  cases: Record<string, Record<string, { loss: number }>>
}

type Lists = [scores: Tensor, labels: ArrayLike<number>, starts: ArrayLike<number>]

/** By the names of the frozen values; `lambdarank@5` is cut at 5. */
function lossOf(name: string, lists: Lists, weights: ArrayLike<number>): Tensor {
  const [loss, k] = name.split('@')
  if (loss === 'lambdarank') return lambdaRank(...lists, k ? { k: Number(k) } : {})
  if (loss === 'listwise_weighted') return listwise(...lists, { weights })
  const plain = {
    pointwise,
    pointwise_lists: pointwiseLists,
    pairwise,
    listwise,
    listwise_normed: listwiseNormed,
    listnet: listNet,
  }[loss!]
  if (!plain) throw new DataError(`the case has a loss '${name}', which no check here knows`)
  return plain(...lists)
}

export async function checkLtrCase(gpu: Gpu, folder: string, { cases }: LtrCase): Promise<Finding[]> {
  const frozen = await readTensors(join(folder, 'ltr.safetensors'))
  const losses = new Check(`${basename(folder)}/losses`, 1e-5)
  const grads = new Check(`${basename(folder)}/grads`, 1e-5)
  for (const [tag, own] of Object.entries(cases)) {
    const of = (name: string) => need(frozen, `${tag}.${name}`).data
    for (const [name, { loss: expected }] of Object.entries(own)) {
      const scores = tensor(gpu, Float32Array.from(of('scores')), undefined, { requiresGrad: true })
      const value = scope(() => {
        const loss = lossOf(name, [scores, of('labels'), of('starts')], of('list_weights'))
        const read = loss.item()
        loss.backward()
        return read
      })
      losses.figure(`${tag} ${name}`, await value, expected)
      grads.tensor(`${tag} ${name}`, await scores.grad!.read(), of(`${name}.dscores`))
    }
  }
  return [...losses.done(), ...grads.done()]
}
