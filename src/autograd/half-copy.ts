// f16 copies of dense parameters, for matmuls that read half as many bytes. The float32 weights are the ones that are
// trained; a copy of a whole arena is made, in one launch, when one of its parameters is first used after a change.
import { KernelgradError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { cast } from '../kernels/cast.ts'
import type { Arena, DenseParameter } from './parameter.ts'

interface Copy {
  gpu: Gpu
  view: View
  current: boolean
}
const copies = new WeakMap<Arena, Copy>()

/** A parameter's values as f16, up to date. */
export function halfView(parameter: DenseParameter): View {
  const { arena, gpu, view } = parameter
  if (!arena) throw new KernelgradError('a parameter without memory has no f16 copy')
  const n = arena.weights.size / 4
  let copy = copies.get(arena)
  if (!copy) {
    copy = { gpu, view: { ...gpu.allocate(n * 2, 'f16 parameters'), whole: false }, current: false }
    copies.set(arena, copy)
  }
  if (!copy.current) cast(gpu, { x: arena.weights, y: copy.view, n, to: 'f16' })
  copy.current = true
  return { buffer: copy.view.buffer, offset: view.offset / 2, size: view.size / 2 }
}

/** Tells that an arena's weights were written: whoever writes to them other than through the optimizer or `writeParameter`. */
export function weightsChanged(arena: Arena): void {
  const copy = copies.get(arena)
  if (copy) copy.current = false
}

/** Returns the memory of an arena's f16 copy. */
export function freeHalves(arena: Arena): void {
  const copy = copies.get(arena)
  if (copy) copy.gpu.release(copy.view)
  copies.delete(arena)
}
