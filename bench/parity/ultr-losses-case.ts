// Losses that learn from clicks: values, gradients and the tables that move.
import { basename, join } from 'node:path'
import { add, backward, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import { DataError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import {
  type ClickLists,
  clickListwise,
  clickPointwise,
  dla,
  dlaUltra,
  examinationAt,
  ipsListwise,
  ipsPointwise,
  ipwPointwise,
  pairDebias,
  regressionEm,
  type TwoLosses,
  twoTower,
} from '../../src/losses/index.ts'
import { need, readTensors } from './frozen.ts'
import { Check, type Finding } from './report.ts'

export interface UltrLossesCase {
  propensity: number[]
  max_weight: number
  pair_debias: { t_plus: number[]; t_minus: number[]; rate: number; p: number }
  /** By batch and loss: the values of its parts. */
  cases: Record<string, Record<string, number[]>>
}

export const isUltrLosses = (frozen: Record<string, unknown>): boolean =>
  Array.isArray(frozen.propensity) && typeof frozen.pair_debias === 'object'

interface Given {
  scores: Tensor
  /** [N], of the documents. */
  examination: Tensor
  lists: ClickLists
  frozen: UltrLossesCase
}

const parts = ({ relevance, examination }: TwoLosses) => [relevance, examination]

const LOSSES: Record<string, (given: Given) => Tensor[]> = {
  naive_pointwise: ({ scores, lists }) => [clickPointwise(scores, lists)],
  naive_listwise: ({ scores, lists }) => [clickListwise(scores, lists)],
  two_tower: ({ scores, examination, lists }) => [twoTower(scores, examination, lists)],
  ips_pointwise: given => [ipsPointwise(given.scores, given.lists, clipped(given.frozen))],
  ips_listwise: given => [ipsListwise(given.scores, given.lists, clipped(given.frozen))],
  ipw_all_documents: ({ scores, lists, frozen }) => [
    ipwPointwise(scores, lists, { propensities: frozen.propensity }),
  ],
  dla: ({ scores, examination, lists, frozen }) =>
    parts(dla(scores, examination, lists, { maxWeight: frozen.max_weight })),
  dla_ultra: ({ scores, examination, lists }) => parts(dlaUltra(scores, examination, lists)),
  regression_em: ({ scores, examination, lists }) => parts(regressionEm(scores, examination, lists)),
}

const clipped = ({ propensity, max_weight }: UltrLossesCase) => ({
  propensities: propensity,
  maxWeight: max_weight,
})

export async function checkUltrLossesCase(
  gpu: Gpu,
  folder: string,
  frozen: UltrLossesCase,
): Promise<Finding[]> {
  const tensors = await readTensors(join(folder, 'losses.safetensors'))
  const findings: Finding[] = []
  for (const [tag, cases] of Object.entries(frozen.cases)) {
    const get = (name: string) => need(tensors, `${tag}.${name}`).data
    const leaf = (name: string) =>
      tensor(gpu, Float32Array.from(get(name)), [get(name).length], { requiresGrad: true })
    const lists: ClickLists = {
      clicks: Array.from(get('clicks')),
      positions: Array.from(get('positions')),
      starts: Array.from(get('starts')),
    }
    const check = new Check(`${basename(folder)}/${tag}`, 1e-5)
    for (const [name, values] of Object.entries(cases)) {
      if (name !== 'pair_debias' && !Object.hasOwn(LOSSES, name))
        throw new DataError(`${folder}: case ${tag}: no loss is known as ${name}`)
      const got = scope(() => {
        const [scores, table] = [leaf('scores'), leaf('examination')]
        const pairs = name === 'pair_debias' ? debiased(gpu, scores, lists, frozen) : undefined
        const losses = pairs
          ? [pairs.loss]
          : LOSSES[name]!({ scores, examination: examinationAt(table, lists.positions!), lists, frozen })
        const read = losses.map(loss => loss.keep().item())
        const moved = pairs && [pairs.tables.plus.read(), pairs.tables.minus.read()]
        backward(losses.reduce((sum, loss) => add(sum, loss)))
        return { read, moved, dscores: scores.grad!.read(), dexamination: table.grad?.read() }
      })
      for (const [i, value] of values.entries()) check.figure(`${name} ${i}`, await got.read[i]!, value)
      check.tensor(`${name}.dscores`, await got.dscores, get(`${name}.dscores`))
      const dexamination = tensors.get(`${tag}.${name}.dexamination`)
      const gradient = await got.dexamination
      if (dexamination) check.tensor(`${name}.dexamination`, gradient ?? [], dexamination.data)
      if (got.moved)
        for (const [i, which] of ['t_plus', 't_minus'].entries())
          check.tensor(`${name}.${which}`, await got.moved[i]!, get(`${name}.${which}`))
    }
    findings.push(...check.done())
  }
  return findings
}

function debiased(gpu: Gpu, scores: Tensor, lists: ClickLists, { pair_debias }: UltrLossesCase) {
  const { t_plus, t_minus, rate, p } = pair_debias
  const table = (values: number[]) => tensor(gpu, Float32Array.from(values), [values.length])
  return pairDebias(scores, lists, { plus: table(t_plus), minus: table(t_minus) }, { rate, p })
}
