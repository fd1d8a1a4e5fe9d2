/**
 * Data to learn from: rows and raw files with a known signal, made from a seed. KDD Cup 2012's files are `kernelgrad/kdd`.
 *
 * @module kernelgrad/datasets
 */
export * from './click-world.ts'
export * from './list-world.ts'
export * from './synthetic.ts'
export * from './synthetic-raw.ts'
export * from './text-world.ts'
