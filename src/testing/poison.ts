// Elements that nobody wrote, and memory beside an output, are told by a NaN with a payload no arithmetic makes. A device
// opened with `openGpu({ poison: true })` hands out buffers full of it.
import { expectDevice, expectNumber, NATURAL, shown } from '../check.ts'
import { ArgumentError, KernelgradError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'

/** The bits of poison: a quiet NaN. */
export const POISON = 0x7fc0dead

/** n float32 of poison, to fill an output with before a kernel runs. */
export function poisoned(n: number): Float32Array<ArrayBuffer> {
  expectNumber('poisoned: n', n, NATURAL)
  return new Float32Array(new Uint32Array(n).fill(POISON).buffer)
}

function wordsOf(values: Float32Array | Uint32Array, label: string): Uint32Array {
  if (!(values instanceof Float32Array || values instanceof Uint32Array))
    throw new ArgumentError(`${label} are ${shown(values)}, expected a Float32Array or a Uint32Array`)
  return new Uint32Array(values.buffer, values.byteOffset, values.length)
}

/** @throws KernelgradError naming the first element that still is poison: nobody wrote it */
export function expectWritten(values: Float32Array | Uint32Array, label = 'values'): void {
  const at = wordsOf(values, label).indexOf(POISON)
  if (at >= 0) throw new KernelgradError(`${label}: element ${at} of ${values.length} was not written`)
}

/** @throws KernelgradError naming the first element that is no poison any more: it was not to be touched */
export function expectUntouched(values: Float32Array | Uint32Array, label = 'values'): void {
  const at = wordsOf(values, label).findIndex(word => word !== POISON)
  if (at >= 0) throw new KernelgradError(`${label}: element ${at} of ${values.length} was written`)
}

/** Words of poison on each side of a guarded view: 256 bytes, so that it can be bound. */
const GUARD = 64

/**
 * Device memory for n 4-byte elements, poisoned, between poisoned neighbours: as a parameter's gradient lies in a larger buffer.
 *
 * @example
 * ```ts
 * import { guarded } from 'kernelgrad/testing'
 *
 * const { view, checkNeighbours, release } = guarded(gpu, 37)
 * // launch a kernel that writes `view`
 * await checkNeighbours()
 * release()
 * ```
 */
export function guarded(
  gpu: Gpu,
  n: number,
): {
  view: View
  /** Throws a KernelgradError when a launch wrote past the view. */
  checkNeighbours: () => Promise<void>
  /** Returns the memory. */
  release: () => void
} {
  expectDevice('guarded: gpu', gpu)
  expectNumber('guarded: n', n, NATURAL)
  const words = GUARD + n + GUARD
  const all = gpu.acquire(words * 4)
  gpu.upload(all, poisoned(words))
  return {
    view: { buffer: all.buffer, offset: GUARD * 4, size: n * 4 },
    async checkNeighbours() {
      const now = await gpu.readUints({ buffer: all.buffer, offset: 0, size: words * 4 })
      expectUntouched(now.subarray(0, GUARD), `the 64 words before ${n} guarded ones`)
      expectUntouched(now.subarray(GUARD + n), `the 64 words after ${n} guarded ones`)
    },
    release: () => gpu.release(all),
  }
}
