// Steps of a small ranker under each loss over lists, on the same rows, in turns.
import { reshape, scope, tensor } from '../src/autograd/index.ts'
import type { Gpu } from '../src/gpu/index.ts'
import { lambdaRank, listNet, listwise, listwiseNormed, pairwise, pointwise } from '../src/losses/index.ts'
import { Linear, ReLU, Sequential } from '../src/nn/index.ts'
import { AdamW } from '../src/optim/index.ts'
import { normal } from '../src/testing/index.ts'

const LOSSES = { pointwise, listwise, listwiseNormed, listNet, pairwise, lambdaRank }
const WARM = 5
const FEATURES = 64

/** A loss's step. */
export interface LossRow {
  loss: keyof typeof LOSSES
  /** Median and first quartile of a step's seconds. */
  median: number
  quartile: number
  /** The same over pointwise's, of steps that stood beside each other. */
  medianRatio: number
  quartileRatio: number
}

export async function benchLosses(gpu: Gpu, { quick }: { quick: boolean }): Promise<LossRow[]> {
  const [lists, length, steps] = quick ? [4, 5, 2] : [64, 10, 100]
  const rows = lists * length
  const starts = Uint32Array.from({ length: lists + 1 }, (_, i) => i * length)
  const labels = Float32Array.from({ length: rows }, (_, i) => Number(i % length === (7 * i) % 5))
  const features = normal(rows * FEATURES, 1)
  const runs = Object.entries(LOSSES).map(([name, loss]) => {
    const sizes = quick ? [8] : [256, 128]
    const layers = sizes.flatMap((size, i) => [new Linear(i ? sizes[i - 1]! : FEATURES, size), new ReLU()])
    const model = new Sequential([...layers, new Linear(sizes.at(-1)!, 1)]).to(gpu, { seed: 1 })
    const optimizer = new AdamW(gpu, [{ params: model.parameters() }], { lr: 1e-3 })
    const step = async () => {
      const began = performance.now()
      scope(() => {
        const scores = reshape(model.forward(tensor(gpu, features, [rows, FEATURES])), [rows])
        loss(scores, labels, starts).backward()
      })
      optimizer.step()
      optimizer.zeroGrad()
      await gpu.done()
      return (performance.now() - began) / 1000
    }
    return { loss: name as LossRow['loss'], model, optimizer, step, seconds: [] as number[] }
  })
  for (let i = 0; i < WARM + steps; i++)
    for (const { step, seconds } of runs) {
      const took = await step()
      if (i >= WARM) seconds.push(took)
    }
  for (const { model, optimizer } of runs) {
    optimizer.dispose()
    model.free()
  }
  const at = (values: readonly number[], share: number) =>
    [...values].sort((a, b) => a - b)[Math.floor(values.length * share)]!
  const plain = runs[0]!.seconds
  return runs.map(({ loss, seconds }) => ({
    loss,
    median: at(seconds, 0.5),
    quartile: at(seconds, 0.25),
    medianRatio: at(seconds, 0.5) / at(plain, 0.5),
    quartileRatio: at(seconds, 0.25) / at(plain, 0.25),
  }))
}

const over = (ratio: number) => `${ratio < 1 ? '' : '+'}${(100 * (ratio - 1)).toFixed(1)}%`

export const lossesTable = (rows: LossRow[]): string =>
  rows
    .map(
      ({ loss, median, quartile, medianRatio, quartileRatio }) =>
        `${loss.padEnd(15)} ${(median * 1000).toFixed(2)} ms a step (first quartile ${(quartile * 1000).toFixed(2)}), over pointwise ${over(medianRatio)} (${over(quartileRatio)})`,
    )
    .join('\n')
