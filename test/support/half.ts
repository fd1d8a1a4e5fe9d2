// Arrays of halves on a device, for tests of kernels over f16 storage.
import type { Gpu, View } from '../../src/gpu/index.ts'
import * as reference from '../../src/reference/index.ts'
import { guarded, HALF_ROUNDING, packHalves, unpackHalves } from '../../src/testing/index.ts'

export { HALF_ROUNDING }

/** Values rounded to halves, on the device and for the oracle. */
export function halves(gpu: Gpu, values: ArrayLike<number>): { view: View; values: Float64Array } {
  return { view: gpu.from(packHalves(values)), values: reference.roundF16(values) }
}

/** Poisoned memory for n halves whose neighbours must stay as they are; `read` checks that they did. */
export function halfBlock(gpu: Gpu, n: number): { view: View; read: () => Promise<Float64Array> } {
  const { view, checkNeighbours } = guarded(gpu, n / 2)
  return {
    view,
    async read() {
      await checkNeighbours()
      return unpackHalves(await gpu.readUints(view))
    },
  }
}
