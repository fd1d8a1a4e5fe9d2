// Kernels whose rows or arrays are multiples of four elements read and write vec4f, the others f32. Both are one WGSL
// text over an element type E, four or one wide by its constant WIDTH; what a launcher calls a row's length is then
// counted in E.
import { type Kernel, withConstants } from '../gpu/index.ts'

/** A kernel in both widths. */
export interface ByWidth<P extends string> {
  1: Kernel<P>
  4: Kernel<P>
}

/** Sets WIDTH, which a kernel's WGSL file declares, to 1 and to 4. */
export const byWidth = <P extends string>(kernel: Kernel<P>): ByWidth<P> => ({
  1: withConstants(kernel, { WIDTH: 1 }),
  4: withConstants(kernel, { WIDTH: 4 }),
})

/** 4 when every one of the lengths, in elements, is a multiple of 4, else 1. */
export const widthOf = (...lengths: number[]): 1 | 4 => (lengths.every(n => n % 4 === 0) ? 4 : 1)

/** Invocations that share a row of `length` E in kernels that move rows: each takes every `lanes`-th, about eight in all. */
export const rowLanes = (length: number): number => Math.ceil(length / 8)
