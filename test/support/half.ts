// Arrays of halves on a device, for tests of kernels over f16 storage.
import type { Gpu, View } from '../../src/gpu/index.ts'
import * as reference from '../../src/reference/index.ts'
import { block } from './block.ts'

/** Half the distance of neighbouring halves, relative: what rounding a result costs. */
export const HALF_ROUNDING = 2 ** -11

/** Values as the device packs them. */
export function packHalves(values: ArrayLike<number>): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(
    { length: values.length / 2 },
    (_, i) => reference.f16Bits(values[2 * i]!) | (reference.f16Bits(values[2 * i + 1]!) << 16),
  )
}

export function unpackHalves(words: Uint32Array): Float64Array {
  return Float64Array.from({ length: words.length * 2 }, (_, i) =>
    reference.f16Value((words[i >> 1]! >>> (16 * (i & 1))) & 0xffff),
  )
}

/** Values rounded to halves, on the device and for the oracle. */
export function halves(gpu: Gpu, values: ArrayLike<number>): { view: View; values: Float64Array } {
  return { view: gpu.from(packHalves(values)), values: reference.roundF16(values) }
}

/** Poisoned memory for n halves whose neighbours must stay as they are; `read` checks that they did. */
export function halfBlock(gpu: Gpu, n: number): { view: View; read: () => Promise<Float64Array> } {
  const { view, checkNeighbours } = block(gpu, n / 2)
  return {
    view,
    async read() {
      await checkNeighbours()
      return unpackHalves(await gpu.readUints(view))
    },
  }
}
