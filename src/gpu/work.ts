// How long what is submitted together may keep a device busy, by estimate. Systems end work that holds a GPU for about two seconds, and the
// device is then lost.
import { ShapeError } from '../errors.ts'
import { told } from './buffers.ts'
import type { Grid, Kernel } from './kernel.ts'

/**
 * Multiply-adds of a submit: half a second of an integrated GPU that does 4e10 of them in a second, a tenth of what its data sheet says. A training
 * step of 800 tokens through two layers of 768 is 3.4e10.
 */
export const SUBMIT_WORK = 2e10
/** Of an invocation, where the launcher says nothing: a few vectors that are loaded, computed with and stored. */
const INVOCATION_WORK = 32

/** The work of a launch, in multiply-adds: as its launcher says, or by the number of its invocations. */
export function workOf({ name, workgroup }: Kernel, grid: Grid, work: number | undefined): number {
  if (work === undefined) return grid[0] * grid[1] * grid[2] * workgroup * INVOCATION_WORK
  if (typeof work === 'number' && work >= 0) return work
  throw new ShapeError(`kernel ${name}: work is ${told(work)}, expected multiply-adds, at least 0`)
}
