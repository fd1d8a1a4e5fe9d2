/**
 * Tensors on a device and the tape that differentiates what is done with them.
 *
 * @module kernelgrad/autograd
 */
export { numel } from '../kernels/strides.ts'
export { autocast } from './autocast.ts'
export {
  defineOp,
  type Op,
  type OpBackward,
  type OpDefinition,
  type OpForward,
  type OpResult,
} from './define-op.ts'
export { onMemoryGrowth } from './growth.ts'
export { freeHalves, halfView, valuesChanged, weightsChanged } from './half-copy.ts'
export type { GradHook, RemovableHandle } from './hooks.ts'
export * from './ops/index.ts'
export { expectSame, expectShape, rowsAndColumns } from './ops/shapes.ts'
export {
  type Arena,
  allocateDense,
  BLOCK_BYTES,
  type Chunk,
  DenseParameter,
  type Init,
  type Parameter,
  packParameters,
} from './parameter.ts'
export { initialize, readParameter, writeParameter } from './parameter-values.ts'
export { scope } from './scope.ts'
export { type RowGrad, type SlicedGrad, TableParameter, type TableSlice } from './table-parameter.ts'
export {
  type BackwardOptions,
  backward,
  clearTape,
  type GradTarget,
  gradTarget,
  noGrad,
} from './tape.ts'
export { alias, type DType, empty, fitsF16, type Shape, Tensor, tensor } from './tensor.ts'
