// A module's values by name, on the host: to copy between models, to keep, or to write where there is no file system.
import { type Parameter, readParameter, writeParameter } from '../autograd/index.ts'
import { shown } from '../check.ts'
import { ArgumentError, CheckpointError } from '../errors.ts'
import { Counter } from './buffers.ts'

/** One tensor of a state dict; `parseSafetensors` gives the same. Row-major. */
export interface StateTensor {
  /** Sizes of the dimensions. */
  shape: readonly number[]
  /** The values. */
  data: ArrayLike<number | bigint>
}

/** Values by name, in the model's order: float32 of parameters and buffers, int64 of counters. */
export type StateDict = Map<
  string,
  { shape: readonly number[]; data: Float32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> }
>

/** What loading left out. */
export interface LoadResult {
  /** What the state has no values for; it keeps its own. */
  missingKeys: string[]
  /** Names in the state that the module has not. */
  unexpectedKeys: string[]
}

export async function readState(named: Iterable<[string, Parameter | Counter]>): Promise<StateDict> {
  const state: StateDict = new Map()
  for (const [name, one] of named) {
    const data = one instanceof Counter ? BigInt64Array.of(BigInt(one.value)) : await readParameter(one)
    state.set(name, { shape: one.shape, data })
  }
  return state
}

/** Sets values by name. Everything is checked before the first value is set. */
export function writeState(
  named: Iterable<[string, Parameter | Counter]>,
  state: Iterable<readonly [string, StateTensor]>,
  strict: boolean,
): LoadResult {
  const known = new Map(named)
  const given = entriesOf(state)
  const missingKeys = [...known.keys()].filter(name => !given.has(name))
  const unexpectedKeys = [...given.keys()].filter(name => !known.has(name))
  const found = [...known].flatMap(([name, one]) =>
    given.has(name) ? [{ name, one, tensor: given.get(name) }] : [],
  )
  // All of it is said at once: whoever mends one name should not meet the next.
  const faults = found.flatMap(({ name, one, tensor }) => faultOf(name, one, tensor) ?? [])
  const names = [
    missingKeys.length ? `no values for ${missingKeys.join(', ')}` : '',
    unexpectedKeys.length ? `values for ${unexpectedKeys.join(', ')}, which the module has not` : '',
  ].filter(Boolean)
  const says = strict && names.length ? [`the state dict has ${names.join('; ')}`, ...faults] : faults
  if (says.length) throw new CheckpointError(says.join('; '))
  const values = found.map(({ one, tensor }) => {
    const { data } = tensor as StateTensor
    if (one instanceof Counter) return Number(data[0])
    return data instanceof Float32Array ? data : Float32Array.from(data as ArrayLike<number>)
  })
  for (const [i, { one }] of found.entries()) {
    if (one instanceof Counter) one.value = values[i] as number
    else writeParameter(one, values[i] as Float32Array)
  }
  return { missingKeys, unexpectedKeys }
}

function entriesOf(state: unknown): Map<string, unknown> {
  if (typeof state === 'object' && state !== null && Symbol.iterator in state) {
    const entries = [...(state as Iterable<unknown>)]
    if (entries.every(entry => Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string'))
      return new Map(entries as [string, unknown][])
  }
  throw new ArgumentError(
    `loadStateDict: state is ${shown(state)}, expected a Map of names to { shape, data }, as stateDict() gives; of an object, Object.entries()`,
  )
}

/** What is wrong with the values for a parameter, buffer or counter. */
function faultOf(name: string, one: Parameter | Counter, tensor: unknown): string | undefined {
  const where = `the state dict's '${name}'`
  const { shape, data } = (tensor ?? {}) as Partial<StateTensor>
  if (!Array.isArray(shape) || typeof data !== 'object' || data === null || !('length' in data))
    return `${where} is ${shown(tensor)}, expected { shape, data }`
  if (shape.join() !== one.shape.join()) return `${where} has shape [${shape}], expected [${one.shape}]`
  if (one instanceof Counter) {
    const count = data.length === 1 ? Number(data[0]) : Number.NaN
    return Number.isSafeInteger(count) && count >= 0
      ? undefined
      : `${where} is ${data.length === 1 ? String(data[0]) : `${data.length} values`}, expected one count of at least 0`
  }
  const integers = ArrayBuffer.isView(data) && !(data instanceof Float32Array || data instanceof Float64Array)
  const wrong = Array.isArray(data) ? data.findIndex(value => typeof value !== 'number') : -1
  if (data.length === one.size && typeof data[0] !== 'bigint' && !integers && wrong < 0) return undefined
  const kind = integers ? `values in ${shown(data)}` : `${typeof data[Math.max(wrong, 0)]}s`
  return `${where} has ${data.length} ${kind}, expected ${one.size} floating-point numbers`
}
