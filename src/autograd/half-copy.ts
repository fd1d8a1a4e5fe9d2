// f16 copies of dense parameters, for matmuls that read half as many bytes. The float32 weights are the ones that are
// trained; a copy of a whole arena is made, in one launch, when one of its parameters is first used after a change.
import { shown } from '../check.ts'
import { ArgumentError, KernelgradError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { CAST_BLOCK, castBlocks } from '../kernels/cast.ts'
import { noteChange } from './changes.ts'
import { type Arena, BLOCK_BYTES, DenseParameter, type Parameter } from './parameter.ts'
import { expectTable } from './table-parameter.ts'

interface Copy {
  gpu: Gpu
  view: View
  /** Where each block of the arena goes, in blocks of halves. */
  places: View
  /** Byte offset of each parameter that owns memory. */
  offsets: Map<DenseParameter, number>
  current: boolean
}
const copies = new WeakMap<Arena, Copy>()
const HALF_BYTES = CAST_BLOCK * 2

/** A parameter's values as f16, up to date. @internal */
export function halfView(parameter: DenseParameter): View {
  if (!(parameter instanceof DenseParameter))
    throw new ArgumentError(`halfView: parameter is ${shown(parameter)}, expected a DenseParameter`)
  const { arena, gpu, root } = parameter
  if (!arena) throw new KernelgradError('halfView: parameter has no memory yet; call model.to(gpu) first')
  let copy = copies.get(arena)
  if (!copy) {
    copy = makeCopy(gpu, arena)
    copies.set(arena, copy)
  }
  const { view, places, offsets } = copy
  const n = arena.weights.size / BLOCK_BYTES
  if (!copy.current) castBlocks(gpu, { x: arena.weights, places, y: view, n })
  copy.current = true
  const offset = offsets.get(root)! + parameter.parentOffset * 2
  return { buffer: view.buffer, offset, size: parameter.size * 2 }
}

/** A parameter's copy starts where a binding can: at every second block of halves. */
function makeCopy(gpu: Gpu, arena: Arena): Copy {
  const places = new Uint32Array(arena.weights.size / BLOCK_BYTES)
  const offsets = new Map<DenseParameter, number>()
  let place = 0
  for (const { parameter, offset, bytes } of arena.blocks) {
    place += place % 2
    offsets.set(parameter, place * HALF_BYTES)
    for (let block = 0; block < bytes / BLOCK_BYTES; block++) places[offset / BLOCK_BYTES + block] = place++
  }
  const copy = { ...gpu.allocate(place * HALF_BYTES, 'f16 parameters'), whole: false }
  const table = gpu.allocate(places.byteLength, 'places of f16 parameters')
  gpu.upload(table, places)
  return { gpu, view: copy, places: table, offsets, current: false }
}

/** Tells that an arena's weights were written: whoever writes to them other than through the optimizer or `writeParameter`. @internal */
export function weightsChanged(arena: Arena): void {
  const copy = copies.get(arena)
  if (copy) copy.current = false
}

/** Returns the memory of an arena's f16 copy. @internal */
export function freeHalves(arena: Arena): void {
  const copy = copies.get(arena)
  if (copy) for (const view of [copy.view, copy.places]) copy.gpu.release(view)
  copies.delete(arena)
}

/** Tells that a parameter's values were written: of what is computed from them, nothing old is taken any more. */
export function valuesChanged(parameter: Parameter): void {
  if (parameter instanceof DenseParameter) {
    weightsChanged(parameter.arena!)
    noteChange(parameter.root, ...parameter.root.parts)
  } else {
    expectTable('valuesChanged', 'parameter', parameter)
    noteChange(parameter)
  }
}
