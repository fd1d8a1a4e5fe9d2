// Operations that move elements: transpose, permute, slice, expand, concat, stack, split. Results are contiguous copies. Halves move
// four at a time; where that cannot be, they go through float32.
import { expectOptions, shown, toUints } from '../../check.ts'
import { ArgumentError, ShapeError } from '../../errors.ts'
import { movesInFours, type Steps, strided } from '../../kernels/strided.ts'
import { broadcastStrides, numel, stridesOf } from '../../kernels/strides.ts'
import { ANY, expectTensor, expectTensors } from '../checks.ts'
import { defineOp } from '../define-op.ts'
import { fitsF16, type Shape, type Tensor } from '../tensor.ts'
import { reshape } from './arithmetic.ts'
import { axisOf } from './axes.ts'
import { cast } from './cast.ts'
import { concatColumns } from './concat.ts'
import { sumTo } from './sum-to.ts'
import { takeRows } from './take-rows.ts'

const whole = (shape: Shape): Steps => ({ offset: 0, strides: stridesOf(shape) })

interface Taken {
  shape: Shape
  from: Steps
}

/** Elements of x by strides, each at most once. */
const take = defineOp({
  name: 'take',
  inputs: ['x'],
  dtypes: { x: ['f32', 'f16', 'u32'] },
  shape: ({ x }, { shape }: Taken) => ({ shape, dtype: x.dtype }),
  forward: ({ gpu, x, out }, { shape, from }) =>
    strided(gpu, { x: x.view, y: out.view, shape, from, to: whole(shape), storage: x.storage }),
  backward({ gpu, out, dout, dx }, { shape, from }) {
    if (out.size < dx.size) gpu.clear(dx.view)
    const move = { shape, from: whole(shape), to: from, storage: dx.storage }
    strided(gpu, { x: dout.view, y: dx.view, ...move })
  },
})

/** The same by way of float32 where halves cannot move four at a time. */
function taken(x: Tensor, options: Taken): Tensor {
  const { shape, from } = options
  if (x.dtype !== 'f16' || (fitsF16(shape) && movesInFours(shape, from, whole(shape))))
    return take(x, options)
  const single = take(cast(x, 'f32'), options)
  return fitsF16(shape) ? cast(single, 'f16') : single
}

/**
 * The dimensions in another order: `torch.permute`.
 *
 * @throws ShapeError unless every dimension is named once
 */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  expectTensor('permute', 'x', x, ANY)
  const { shape } = x
  if (!Array.isArray(order))
    throw new ShapeError(`permute: order is ${shown(order)}, expected an array of dimensions`)
  const axes = order.map(axis => axisOf('permute', shape, axis))
  if (axes.length !== shape.length || new Set(axes).size !== shape.length)
    throw new ShapeError(
      `permute: order [${order.join(', ')}] for shape [${shape.join(', ')}], expected every dimension once`,
    )
  const strides = stridesOf(shape)
  const from = { offset: 0, strides: axes.map(axis => strides[axis]!) }
  return taken(x, { shape: axes.map(axis => shape[axis]!), from })
}

/** Two dimensions exchanged, the last two unless given: `torch.transpose`. */
export function transpose(x: Tensor, first = -2, second = -1): Tensor {
  expectTensor('transpose', 'x', x, ANY)
  const order = x.shape.map((_, d) => d)
  const [a, b] = [axisOf('transpose', x.shape, first), axisOf('transpose', x.shape, second)]
  order[a] = b
  order[b] = a
  return permute(x, order)
}

/** Which part of a dimension: as Python's slice(start, end, step). */
export interface SliceOptions {
  /** The first place, counted from the end where negative; 0 unless given. */
  start?: number
  /** The place behind the last, counted from the end where negative; the end unless given. */
  end?: number
  /** From one to the next, 1 or more. */
  step?: number
}

/** Part of one dimension: `x[..., start:end:step, ...]`. Bounds past an end stand for it, as in Python. */
export function slice(x: Tensor, axis: number, options: SliceOptions = {}): Tensor {
  expectTensor('slice', 'x', x, ANY)
  expectOptions('slice: options', options, ['start', 'end', 'step'])
  const { start = 0, end, step = 1 } = options
  const at = axisOf('slice', x.shape, axis)
  const size = x.shape[at]!
  for (const [name, value] of Object.entries({ start, end: end ?? size, step })) {
    if (!Number.isInteger(value) || (name === 'step' && value < 1))
      throw new ShapeError(
        `slice: ${name} is ${shown(value)}, expected ${name === 'step' ? '1 or more' : 'a whole number'}`,
      )
  }
  const bound = (place: number) => Math.min(Math.max(place < 0 ? place + size : place, 0), size)
  const [first, last] = [bound(start), bound(end ?? size)]
  const strides = stridesOf(x.shape)
  const shape = x.shape.with(at, Math.max(Math.ceil((last - first) / step), 0))
  const from = { offset: first * strides[at]!, strides: strides.with(at, strides[at]! * step) }
  return taken(x, { shape, from })
}

/** One place of a dimension, which is left out then: `torch.select`. */
export function select(x: Tensor, axis: number, index: number): Tensor {
  expectTensor('select', 'x', x, ANY)
  const at = axisOf('select', x.shape, axis)
  const size = x.shape[at]!
  if (!Number.isInteger(index) || index < -size || index >= size)
    throw new ShapeError(`select: index ${shown(index)} of dimension ${at}, expected ${-size} to ${size - 1}`)
  const start = index < 0 ? index + size : index
  const one = slice(x, at, { start, end: start + 1 })
  return reshape(
    one.dtype === 'f16' && !fitsF16(x.shape.toSpliced(at, 1)) ? cast(one, 'f32') : one,
    x.shape.toSpliced(at, 1),
  )
}

/** Parts of one dimension, of `sizes`, or of one size each with a shorter last one: `torch.split`. */
export function split(x: Tensor, sizes: number | readonly number[], axis = 0): Tensor[] {
  expectTensor('split', 'x', x, ANY)
  const at = axisOf('split', x.shape, axis)
  const size = x.shape[at]!
  if (typeof sizes === 'number' && !(Number.isInteger(sizes) && sizes > 0))
    throw new ShapeError(`split: size ${sizes}, expected a whole number above 0`)
  if (typeof sizes !== 'number' && !Array.isArray(sizes))
    throw new ShapeError(`split: sizes are ${shown(sizes)}, expected a number, or an array of numbers`)
  const parts =
    typeof sizes === 'number'
      ? Array.from({ length: Math.ceil(size / sizes) }, (_, i) => Math.min(sizes, size - i * sizes))
      : sizes
  const total = parts.reduce((sum, part) => sum + part, 0)
  if (total !== size || parts.some(part => !Number.isInteger(part) || part < 0))
    throw new ShapeError(`split: sizes [${parts.join(', ')}] of dimension ${at}, which is ${size}`)
  let start = 0
  return parts.map(part => {
    start += part
    return slice(x, at, { start: start - part, end: start })
  })
}

const repeat = defineOp({
  name: 'expand',
  inputs: ['x'],
  dtypes: { x: ['f32', 'f16'] },
  shape: (_, shape: Shape) => shape,
  forward({ gpu, x, out }, shape) {
    const from = { offset: 0, strides: broadcastStrides(x.shape, shape) }
    strided(gpu, { x: x.view, y: out.view, shape, from, to: whole(shape), storage: x.storage })
  },
  backward: ({ x, dout }) => ({ x: sumTo(dout, x) }),
})

/**
 * Repeated along dimensions of size 1, and new ones in front: `torch.Tensor.expand`, but a copy. -1 leaves a size as it is.
 *
 * @throws ShapeError where another size would change
 */
export function expand(x: Tensor, shape: Shape): Tensor {
  expectTensor('expand', 'x', x)
  if (!Array.isArray(shape))
    throw new ShapeError(`expand: shape is ${shown(shape)}, expected an array of sizes, as [2, 3]`)
  const ahead = shape.length - x.shape.length
  const full = shape.map((size, d) => (size === -1 && d >= ahead ? x.shape[d - ahead]! : size))
  const wrong = full.some((size, d) => {
    const own = d < ahead ? 1 : x.shape[d - ahead]!
    return !Number.isInteger(size) || size < 0 || (own !== 1 && own !== size)
  })
  if (ahead < 0 || wrong)
    throw new ShapeError(`expand: [${x.shape.join(', ')}] cannot be repeated to [${shape.join(', ')}]`)
  if (full.join() === x.shape.join()) return x
  const from = { offset: 0, strides: broadcastStrides(x.shape, full) }
  if (x.dtype !== 'f16' || movesInFours(full, from, whole(full))) return repeat(x, full)
  return cast(repeat(cast(x, 'f32'), full), 'f16')
}

const concats = new Map<number, (parts: Tensor[], axis: number) => Tensor>()

/** Puts n tensors one behind the other. */
function concatOf(n: number): (parts: Tensor[], axis: number) => Tensor {
  const names = Array.from({ length: n }, (_, i) => `part${i}`)
  const lay = (shape: Shape, axis: number, starts: number) => ({
    offset: starts * stridesOf(shape)[axis]!,
    strides: stridesOf(shape),
  })
  const startsOf = (parts: readonly Tensor[], axis: number) => {
    let at = 0
    return parts.map(part => {
      at += part.shape[axis]!
      return at - part.shape[axis]!
    })
  }
  const op = defineOp({
    name: 'concat',
    inputs: names,
    dtypes: Object.fromEntries(names.map(name => [name, ['f32', 'f16'] as const])),
    shape(given: Record<string, Tensor>, axis: number) {
      const parts = names.map(name => given[name]!)
      const total = parts.reduce((sum, part) => sum + part.shape[axis]!, 0)
      return parts[0]!.shape.with(axis, total)
    },
    forward({ gpu, out, ...given }, axis) {
      const parts = names.map(name => given[name]!)
      const starts = startsOf(parts, axis)
      for (const [i, { view, shape, storage }] of parts.entries()) {
        const to = lay(out.shape, axis, starts[i]!)
        strided(gpu, { x: view, y: out.view, shape, from: whole(shape), to, storage })
      }
    },
    backward(context, axis) {
      const { gpu, dout, needsInputGrad } = context
      const parts = names.map(name => context[name] as Tensor)
      const starts = startsOf(parts, axis)
      for (const [i, { shape, storage }] of parts.entries()) {
        if (!needsInputGrad[names[i]!]) continue
        const grad = (context as unknown as Record<string, Tensor>)[`d${names[i]}`]!
        const from = lay(dout.shape, axis, starts[i]!)
        strided(gpu, { x: dout.view, y: grad.view, shape, from, to: whole(shape), storage })
      }
    },
  }) as unknown as (...call: [...Tensor[], number]) => Tensor
  return (parts, axis) => op(...parts, axis)
}

function expectList(op: string, parts: unknown): void {
  if (!Array.isArray(parts))
    throw new ArgumentError(`${op}: parts are ${shown(parts)}, expected an array of tensors`)
  expectTensors(op, Object.fromEntries(parts.map((part, i) => [`part ${i}`, part])))
}

/**
 * Joins tensors along a dimension: `torch.cat`. float32 unless all are f16. Without a dimension, tensors [rows, w] are joined along
 * their columns as float32, and a [rows] tensor is one column.
 *
 * @throws ShapeError where other dimensions differ
 */
export function concat(parts: readonly Tensor[], axis?: number): Tensor {
  expectList('concat', parts)
  const [first] = parts
  if (!first) throw new ShapeError('concat takes at least one tensor')
  if (axis === undefined) return concatColumns([...parts])
  const at = axisOf('concat', first.shape, axis)
  for (const { shape } of parts) {
    if (shape.length !== first.shape.length || shape.some((size, d) => d !== at && size !== first.shape[d]))
      throw new ShapeError(
        `concat: shapes [${first.shape.join(', ')}] and [${shape.join(', ')}] differ in more than dimension ${at}`,
      )
  }
  const dtype = parts.every(part => part.dtype === 'f16') ? 'f16' : 'f32'
  let join = concats.get(parts.length)
  if (!join) {
    join = concatOf(parts.length)
    concats.set(parts.length, join)
  }
  return join(
    parts.map(part => cast(part, dtype)),
    at,
  )
}

/** Puts tensors of one shape along a new dimension: `torch.stack`. */
export function stack(parts: readonly Tensor[], axis = 0): Tensor {
  expectList('stack', parts)
  const [first] = parts
  if (!first) throw new ShapeError('stack takes at least one tensor')
  const at = axisOf('stack', [...first.shape, 1], axis)
  const wrong = parts.find(({ shape }) => shape.join() !== first.shape.join())
  if (wrong)
    throw new ShapeError(`stack: shapes [${first.shape.join(', ')}] and [${wrong.shape.join(', ')}] differ`)
  const shape = first.shape.toSpliced(at, 0, 1)
  return concat(
    parts.map(part => reshape(fitsF16(shape) ? part : cast(part, 'f32'), shape)),
    at,
  )
}

/** A new dimension of size 1 before `axis`: `torch.unsqueeze`. Shares memory. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  expectTensor('unsqueeze', 'x', x)
  const shape = x.shape.toSpliced(axisOf('unsqueeze', [...x.shape, 1], axis), 0, 1)
  return reshape(fitsF16(shape) ? x : cast(x, 'f32'), shape)
}

/** Without a dimension of size 1: `torch.squeeze` of one dimension. Shares memory. */
export function squeeze(x: Tensor, axis: number): Tensor {
  expectTensor('squeeze', 'x', x)
  const at = axisOf('squeeze', x.shape, axis)
  if (x.shape[at] !== 1)
    throw new ShapeError(`squeeze: dimension ${at} of shape [${x.shape.join(', ')}], expected size 1`)
  const shape = x.shape.toSpliced(at, 1)
  return reshape(fitsF16(shape) ? x : cast(x, 'f32'), shape)
}

/**
 * Places of a dimension by number, in the order given, repeated or not: `torch.index_select`. float32; the gradients of a place that is
 * named more than once are added in the order of `places`.
 *
 * @throws ShapeError for a place that the dimension does not have
 */
export function indexSelect(x: Tensor, axis: number, places: Uint32Array): Tensor {
  expectTensor('indexSelect', 'x', x)
  const ids = toUints('indexSelect: ids', places)
  const at = axisOf('indexSelect', x.shape, axis)
  const size = x.shape[at]!
  const wrong = ids.find(id => id >= size)
  if (wrong !== undefined)
    throw new ShapeError(`indexSelect: place ${wrong} of dimension ${at} of shape [${x.shape.join(', ')}]`)
  const order = [at, ...x.shape.map((_, d) => d).toSpliced(at, 1)]
  const rows = at === 0 ? x : permute(x, order)
  const rest = rows.shape.slice(1)
  const width = numel(rest)
  const taken = takeRows(reshape(cast(rows, 'f32'), [size, width]), ids)
  const full = reshape(taken, [ids.length, ...rest])
  if (at === 0) return full
  return permute(
    full,
    order.map((_, d) => order.indexOf(d)),
  )
}
