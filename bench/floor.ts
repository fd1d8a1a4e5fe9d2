// The least time a training step could take on an adapter: operations on kept tokens over the rate that matmul reaches,
// plus the fewest bytes over the copy peak.

import { DenseParameter } from '../src/autograd/index.ts'
import { encoderShape, type FeatureBatch } from '../src/config/index.ts'
import type { Gpu } from '../src/gpu/index.ts'
import type { Model } from '../src/models/index.ts'
import { GOAL_USE } from './goals.ts'
import { timeRow } from './measure.ts'
import { copyPeak } from './peaks.ts'
import { matmulRows } from './rows/matmul.ts'
import { SIZES } from './size.ts'

/** What an adapter does. */
export interface Rates {
  /** Over the goal shapes of matmul in all layouts: all operations over all milliseconds. */
  matmulGflops: number
  copyGbps: number
}

export interface Floor extends Rates {
  flops: number
  bytes: number
  ms: number
}

export async function measureRates(gpu: Gpu): Promise<Rates> {
  let [flops, ms] = [0, 0]
  for (const row of matmulRows(SIZES.full).filter(({ shape }) => shape.startsWith(`${GOAL_USE} `))) {
    flops += row.flops
    ms += (await timeRow(gpu, row)).best
    gpu.pool.trim()
  }
  return { matmulGflops: flops / ms / 1e6, copyGbps: await copyPeak(gpu, {}, false) }
}

/**
 * Operations: six per weight of a linear layer and kept token (forward, gradient of its input, gradient of the weight, two
 * each), the layers above the pooling per row; twelve H per pair of tokens in a row and encoder layer for attention.
 * Bytes: what no fusion saves. AdamW reads and writes weight and moments and reads the gradient, which the norm before it
 * has read too (a clip needs every gradient before the first update): 32 a dense parameter; 36 an element of a touched
 * table row, whose gradient is written outside of any matmul; and 4 an element looked up. Activations are left to the
 * matmuls that make and take them.
 */
export function floorOf(model: Model, batch: FeatureBatch, rates: Rates): Floor {
  const { cuSeqlens, keyMask, inputIds, positionIds } = batch.text!
  const { dim, n_layers } = encoderShape(Object.values(model.encoders())[0]!.config)
  const T = keyMask.length
  const count = (ids: typeof inputIds) => ('rows' in ids ? ids.rows.length : new Set(ids).size)
  let [flops, bytes] = [0, 0]
  for (const [name, parameter] of model.namedParameters()) {
    if (parameter instanceof DenseParameter) {
      bytes += 32 * parameter.size
      if (parameter.shape.length === 2)
        flops += 6 * parameter.size * (name.startsWith('bert.') ? T : batch.size)
      continue
    }
    const column = /^categorical_embeddings\.(.+)_embedding\.weight$/.exec(name)?.[1]
    const ids = column ? batch.categorical![column]! : name.includes('position') ? positionIds : inputIds
    const looked = column ? batch.size : T
    bytes += parameter.width * (36 * count(ids) + 4 * looked)
  }
  for (let b = 0; b < batch.size; b++) flops += 12 * dim * n_layers * (cuSeqlens[b + 1]! - cuSeqlens[b]!) ** 2
  const ms = flops / rates.matmulGflops / 1e6 + bytes / rates.copyGbps / 1e6
  return { flops, bytes, ms, ...rates }
}
