// What a launcher is given, before anything is launched. WebGPU drops what lies outside a buffer without a word: a size that
// is too large for a view would be a wrong result.
import { expectDevice, expectFlag, expectNumber, expectOneOf, NATURAL, type Range, shown } from '../check.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { expectNames } from './options.ts'
import type { Storage } from './width.ts'

/** @throws ArgumentError unless `gpu` is a device from `openGpu` */
export function expectGpu(where: string, gpu: unknown): asserts gpu is Gpu {
  expectDevice(where, gpu)
}

/** @throws for what is no device, or no options, options that every launcher knows and that cannot be, or names that are none of its options; @returns the options */
export function given<O>(op: string, gpu: Gpu, options: O): O {
  expectGpu(`${op}: gpu`, gpu)
  if (typeof options !== 'object' || options === null)
    throw new ArgumentError(`${op}: options is ${shown(options)}, expected an object of views and sizes`)
  // A word that is neither would be taken for float32, and any text for true.
  const { storage, accumulate } = options as { storage?: unknown; accumulate?: unknown }
  if (storage !== undefined && storage !== 'f32' && storage !== 'f16')
    expectOneOf(`${op}: storage`, storage, ['f32', 'f16', undefined])
  if (accumulate !== undefined && typeof accumulate !== 'boolean') expectFlag(`${op}: accumulate`, accumulate)
  expectNames(op, options)
  return options
}

/** @throws ConfigError unless every size is a whole number of at least 0 */
export function expectSizes(op: string, sizes: Record<string, unknown>): void {
  for (const name in sizes) {
    const size = sizes[name]
    if (!NATURAL.takes(size as number)) expectNumber(`${op}: ${name}`, size, NATURAL)
  }
}

/** @throws ShapeError where columns end behind the last of a matrix */
export function expectInside(op: string, name: string, end: number, width: number): void {
  if (end > width)
    throw new ShapeError(
      `${op}: ${name} and the columns from there on end at ${end}, expected at most ${width}`,
    )
}

const float = new Float32Array(1)
const word = new Uint32Array(float.buffer)

/** Infinities too: how they travel says `float32Bits`. */
const FLOAT32: Range = {
  says: 'a number that float32 holds, or an infinity',
  takes: x => Number.isFinite(Math.fround(x)) || Math.abs(x) === Number.POSITIVE_INFINITY,
}

/**
 * The bits of a float32 that may be infinite, for a parameter that is u32: WGSL may take it that a float32 never is.
 * @throws ConfigError for what float32 does not hold
 */
export function float32Bits(where: string, value: number): number {
  expectNumber(where, value, FLOAT32)
  float[0] = value
  return word[0]!
}

/** A norm's bound: not above 0, or infinity, for none. */
export const NORM: Range = { says: 'a number', takes: x => !Number.isNaN(x) }

/** @throws unless a view has room for `n` elements */
export function expectView(op: string, name: string, view: View, n: number, storage?: Storage): void {
  // Not `in`, which takes longer than all else here.
  if (view?.buffer === undefined || view.offset === undefined || view.size === undefined)
    throw new ArgumentError(
      `${op}: ${name} is ${shown(view)}, expected a view: gpu.from(…) or gpu.acquire(bytes)`,
    )
  const bytes = n * (storage === 'f16' ? 2 : 4)
  if (view.size >= bytes) return
  throw new ShapeError(`${op}: ${name} has ${view.size} bytes, expected at least ${bytes}, for ${n} values`)
}

/** Views of `n` elements each. */
export function expectViews(op: string, views: Record<string, View>, n: number, storage?: Storage): void {
  for (const name in views) expectView(op, name, views[name]!, n, storage)
}

/** The same of views that may be left out. */
export function expectOptional(
  op: string,
  views: Record<string, View | undefined>,
  n: number,
  storage?: Storage,
): void {
  for (const name in views) {
    const view = views[name]
    if (view !== undefined) expectView(op, name, view, n, storage)
  }
}
