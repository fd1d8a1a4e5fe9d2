/**
 * Launchers of the WGSL kernels: views of buffers in, views of buffers out, no autograd.
 *
 * @example
 * ```ts
 * import { matmul } from 'kernelgrad/kernels'
 *
 * const a = gpu.from(Float32Array.of(1, 2, 3, 4, 5, 6)) // [2, 3]
 * const b = gpu.from(Float32Array.of(1, 0, 0, 1, 1, 1)) // [3, 2]
 * const c = gpu.acquire(16)
 * matmul(gpu, { a, b, c, M: 2, N: 2, K: 3, layout: 'NN' })
 * console.log(await gpu.readFloats({ ...c, size: 16 })) // 4, 5, 10, 11
 * for (const view of [a, b, c]) gpu.release(view)
 * ```
 *
 * @module kernelgrad/kernels
 */
export * from './attention.ts'
export * from './axis_reduce.ts'
export * from './bmm.ts'
export * from './cast.ts'
export * from './concat.ts'
export * from './conv1d_max.ts'
export * from './cross_attention.ts'
export * from './cross_entropy.ts'
export * from './dropout.ts'
export * from './elementwise.ts'
export * from './embedding.ts'
export * from './gather.ts'
export * from './gelu.ts'
export * from './layernorm.ts'
export * from './lstm.ts'
export * from './matmul.ts'
export { type ProbedUnit, probeMatrixUnits } from './matmul-probe.ts'
export { type TunedClass, tuneMatmul } from './matmul-tuning.ts'
export * from './mean_pool.ts'
export * from './optimizer.ts'
export * from './pointwise.ts'
export * from './random.ts'
export { columnSum, type GradPart, gradNorm, sum } from './reduce.ts'
export * from './relu.ts'
export * from './scaler.ts'
export * from './segment.ts'
export * from './segment_pairs.ts'
export * from './sliced_cross_entropy.ts'
export * from './softmax.ts'
export * from './strided.ts'
export * from './topk.ts'
export * from './transpose.ts'
export * from './tuning.ts'
export * from './vector_scores.ts'
export { type ByWidth, byStorage, byWidth, formOf, STORAGE_WGSL, type Storage, widthOf } from './width.ts'
