import { expectNumber, shown, toFloats, UINT32 } from '../check.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import { fill } from '../kernels/elementwise.ts'
import { normalFill, uniformFill } from '../kernels/random.ts'
import { expectTensor } from './checks.ts'
import { valuesChanged } from './half-copy.ts'
import { BLOCK_BYTES, DenseParameter, type Parameter } from './parameter.ts'
import { expectTable, TableParameter } from './table-parameter.ts'

function expectParameter(op: string, parameter: unknown): void {
  if (parameter instanceof TableParameter) expectTable(op, 'parameter', parameter)
  else if (parameter instanceof DenseParameter) expectTensor(op, 'parameter', parameter)
  else
    throw new ArgumentError(
      `${op}: parameter is ${shown(parameter)}, expected a DenseParameter or TableParameter`,
    )
}

/**
 * Draws a parameter's starting values on the device from its `init`: Philox keyed by seed and stream, so the values do
 * not depend on how the parameter is split over shards. The padding row of a table is zero.
 * @internal
 */
export function initialize(parameter: Parameter, seed: number, stream: number): void {
  expectParameter('initialize', parameter)
  expectNumber('initialize: seed', seed, UINT32)
  expectNumber('initialize: stream', stream, UINT32)
  const { gpu, init } = parameter
  for (const { view, start, size } of parameter.chunks()) {
    // A packed parameter may start where no binding can: its values are drawn elsewhere and copied.
    const bindable = view.offset % BLOCK_BYTES === 0
    gpu.scratch(take => {
      const out = bindable ? view : take(size * 4)
      // A shard that starts off the generator's groups of four has no place in the stream: its values are still seeded.
      const drawn = { out, n: size, seed, stream, offset: Math.ceil(start / 4) * 4 }
      if (init.kind === 'normal') normalFill(gpu, { ...drawn, mean: init.mean ?? 0, std: init.std })
      else if (init.kind === 'uniform')
        uniformFill(gpu, { ...drawn, low: init.low ?? -init.bound, high: init.bound })
      else if (init.kind === 'constant') fill(gpu, { out, value: init.value, n: size })
      else gpu.upload(out, sharesOf(init.values, parameter.size).subarray(start, start + size))
      if (!bindable) gpu.copy(out, view, size * 4)
    })
  }
  valuesChanged(parameter)
  if (parameter instanceof DenseParameter || parameter.paddingIdx === undefined) return
  const { paddingIdx, width } = parameter
  for (const { view, firstRow, rows } of parameter.shards) {
    if (paddingIdx < firstRow || paddingIdx >= firstRow + rows) continue
    gpu.clear({
      buffer: view.buffer,
      offset: view.offset + (paddingIdx - firstRow) * width * 4,
      size: width * 4,
    })
  }
}

/** Each value for an equal share of `size`. */
const sharesOf = (values: readonly number[], size: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: size }, (_, i) => values[Math.floor((i * values.length) / size)]!)

/** A parameter's values, in one array. */
export async function readParameter(parameter: Parameter): Promise<Float32Array<ArrayBuffer>> {
  expectParameter('readParameter', parameter)
  const values = new Float32Array(parameter.size)
  for (const { view, start, size } of parameter.chunks()) {
    values.set(await parameter.gpu.readFloats({ ...view, size: size * 4 }), start)
  }
  return values
}

/**
 * Sets a parameter's values, row-major.
 * @throws ArgumentError for what are no numbers; ShapeError for another number of them
 */
export function writeParameter(parameter: Parameter, given: Float32Array | readonly number[]): void {
  expectParameter('writeParameter', parameter)
  const values = toFloats('writeParameter: values', given)
  if (values.length !== parameter.size) {
    throw new ShapeError(
      `a parameter of shape [${parameter.shape}] takes ${parameter.size} values, got ${values.length}`,
    )
  }
  for (const { view, start, size } of parameter.chunks()) {
    parameter.gpu.upload(view, values.subarray(start, start + size))
  }
  valuesChanged(parameter)
}
