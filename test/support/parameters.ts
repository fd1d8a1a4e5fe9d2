// Parameters by themselves, outside a model, with given values.
import { allocateDense, DenseParameter, TableParameter, writeParameter } from '../../src/autograd/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'

const zero = { kind: 'constant', value: 0 } as const

export function denseParameter(gpu: Gpu, values: Float32Array, shape: number[]): DenseParameter {
  const parameter = new DenseParameter(shape, zero)
  allocateDense(gpu, [parameter])
  writeParameter(parameter, values)
  return parameter
}

export function tableParameter(gpu: Gpu, values: Float32Array, shape: [number, number]): TableParameter {
  const table = new TableParameter(shape, zero)
  table.allocate(gpu)
  writeParameter(table, values)
  return table
}

/** The device, pretending to bind no more than `bytes` at once. */
export function shardedGpu(gpu: Gpu, bytes: number): Gpu {
  return new Proxy(gpu, {
    get(target, key) {
      if (key === 'maxBinding') return bytes
      const value = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
