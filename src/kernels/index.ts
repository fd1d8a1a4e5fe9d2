/**
 * Launchers of the WGSL kernels: views of buffers in, views of buffers out, no autograd.
 *
 * @module kernelgrad/kernels
 */
export * from './adamw.ts'
export * from './attention.ts'
export * from './cast.ts'
export * from './concat.ts'
export * from './cross_entropy.ts'
export * from './dropout.ts'
export * from './elementwise.ts'
export * from './embedding.ts'
export * from './gelu.ts'
export * from './layernorm.ts'
export * from './matmul.ts'
export { type TunedClass, tuneMatmul } from './matmul-tuning.ts'
export * from './mean_pool.ts'
export * from './random.ts'
export { columnSum, gradNorm, sum } from './reduce.ts'
export * from './relu.ts'
export * from './scaler.ts'
export * from './softmax.ts'
export * from './transpose.ts'
export * from './tuning.ts'
export { type ByWidth, byStorage, byWidth, formOf, STORAGE_WGSL, type Storage, widthOf } from './width.ts'
