/**
 * For tests and benchmarks of kernels, yours or this library's, in any test runner: seeded inputs, error measures, a comparison
 * whose message shows the worst element, gradient checks, poison. Only `gradcheck` of a tensor operation, `guarded`, `timeLaunches` and
 * `benchOp` use a device, the one they are given; importing this loads none.
 *
 * @module kernelgrad/testing
 */
export { type BenchInput, type BenchOpOptions, type BenchRow, benchOp } from './bench.ts'
export { CloseError, type ExpectCloseOptions, expectClose, unravel } from './expect-close.ts'
export { type GradcheckInput, type GradcheckOptions, gradcheck, type PlainFunction } from './gradcheck.ts'
export { HALF_ROUNDING, packHalves, unpackHalves } from './half.ts'
export { maxError, rmsError, ulpError, type WorstError } from './measures.ts'
export { expectUntouched, expectWritten, guarded, POISON, poisoned } from './poison.ts'
export {
  cuSeqlens,
  generator,
  ids,
  mask,
  normal,
  permutation,
  rowIds,
  rowLengths,
  type Seed,
  uniform,
} from './random.ts'
export { median, type Timing, type TimingOptions, timeLaunches } from './timing.ts'
