// Kernels whose rows or arrays are multiples of four elements read and write vec4f, the others f32. Both are one WGSL
// text over an element type E, four or one wide by its constant WIDTH; what a launcher calls a row's length is then
// counted in E.
import { ShapeError } from '../errors.ts'
import { type AdapterKind, type Gpu, type Kernel, withConstants } from '../gpu/index.ts'
import f16 from '../wgsl/f16.ts'
import storageWgsl from '../wgsl/storage.ts'

/**
 * Stands before the text of a family whose activations may be halves. What unpacks halves is in the text of a kernel only where F16 is 1:
 * some compilers know no float16, or refuse its name.
 */
export const STORAGE_WGSL = `// @if F16\n${f16}\n// @end\n${storageWgsl}`

/** How activations lie in memory; f16 is halves, four at a time. */
export type Storage = 'f32' | 'f16'

/** A kernel in both widths, and four wide over halves. */
export interface ByWidth<P extends string> {
  /** One element an invocation. */
  1: Kernel<P>
  /** Four elements. */
  4: Kernel<P>
  /** Four halves. */
  f16: Kernel<P>
}

/** Sets WIDTH, which a kernel's WGSL file declares, to 1 and to 4, and F16 (storage.wgsl), which is otherwise 0. */
export const byWidth = <P extends string>(kernel: Kernel<P>): ByWidth<P> => ({
  1: withConstants(kernel, { WIDTH: 1 }),
  4: withConstants(kernel, { WIDTH: 4 }),
  f16: withConstants(kernel, { WIDTH: 4, F16: 1 }),
})

/** The same for kernels that are always four wide. */
export const byStorage = <P extends string>(kernel: Kernel<P>): Record<Storage, Kernel<P>> => ({
  f32: kernel,
  f16: withConstants(kernel, { F16: 1 }),
})

/**
 * Which form a kernel takes for rows of these lengths, in elements.
 *
 * @throws ShapeError when halves are asked for and a length is no multiple of 4
 */
export function formOf(storage: Storage | undefined, ...lengths: number[]): 1 | 4 | 'f16' {
  const width = widthOf(...lengths)
  if (storage !== 'f16') return width
  if (width === 1) throw new ShapeError(`f16 storage takes rows of a multiple of 4 values, got ${lengths}`)
  return 'f16'
}

/** Row length from which compiling vector loads pays on a system's software adapter. */
const LEAST_WIDE = 128

/**
 * `formOf` for kernels with many loads and long code. A system's software adapter (lavapipe) compiles a vector's load as four:
 * value by value these kernels compile two to three times as fast, which is worth more than the 1.3 to 2 times that short
 * rows then take.
 */
export function compactFormOf(
  { forms }: Gpu,
  storage: Storage | undefined,
  row: number,
  ...lengths: number[]
): 1 | 4 | 'f16' {
  const form = formOf(storage, row, ...lengths)
  return form === 4 && forms.kind === 'system software' && row < LEAST_WIDE ? 1 : form
}

/** 4 when every one of the lengths, in elements, is a multiple of 4, else 1. */
export const widthOf = (...lengths: number[]): 1 | 4 => (lengths.every(n => n % 4 === 0) ? 4 : 1)

/**
 * Invocations that share a row of `length` E in kernels that move rows: each takes every `lanes`-th, about eight in all; one with the forms for GPUs
 * where `gpu` is given.
 */
export const rowLanes = (length: number, gpu?: Gpu): number =>
  gpu?.forms.kind === 'hardware' ? length : Math.ceil(length / 8)

/** Kernels of an element-wise family, and how many E an invocation of theirs takes. */
export interface Walking<R> {
  kernels: R
  per: number
}

/**
 * Kernels whose text says `const PER: u32 = …;`, the E that an invocation takes: `per` on software adapters, where whole groups without bounds
 * checks are faster, and one on GPUs, whose lanes are many.
 */
export function walking<F extends string | number, P extends string>(
  kernels: Record<F, Kernel<P>>,
  per: number,
): (kind: AdapterKind) => Walking<Record<F, Kernel<P>>> {
  const made = Object.entries(kernels) as [F, Kernel<P>][]
  const taking = (per: number): Walking<Record<F, Kernel<P>>> => ({
    kernels: Object.fromEntries(
      made.map(([form, kernel]) => [form, withConstants(kernel, { PER: per })]),
    ) as Record<F, Kernel<P>>,
    per,
  })
  const [several, one] = [taking(per), taking(1)]
  return kind => (kind === 'hardware' ? one : several)
}
