import * as assert from 'uvu/assert'
import type { Gpu, View } from '../../src/gpu/index.ts'

const POISON = 0x7fc0dead

/** A view of n float32 in the middle of a larger poisoned buffer, as a parameter's gradient is a block of an arena. */
export function block(gpu: Gpu, n: number): { view: View; checkNeighbours: () => Promise<void> } {
  const all = gpu.acquire(256 + n * 4 + 256)
  return {
    view: { buffer: all.buffer, offset: 256, size: n * 4 },
    async checkNeighbours() {
      const words = await gpu.readUints({ buffer: all.buffer, offset: 0, size: all.buffer.size })
      const touched = words.findIndex((word, i) => word !== POISON && (i < 64 || i >= 64 + n))
      assert.is(touched, -1, `word ${touched} beside a block of ${n} at 64 was written`)
    },
  }
}
