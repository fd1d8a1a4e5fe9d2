// A module's values by name, on the host: to copy between models, to keep, or to write where there is no file system.
import { type Parameter, readParameter, writeParameter } from '../autograd/index.ts'
import { CheckpointError } from '../errors.ts'

/** One tensor of a state dict; `parseSafetensors` gives the same. Row-major. */
export interface StateTensor {
  /** Sizes of the dimensions. */
  shape: readonly number[]
  /** The values. */
  data: ArrayLike<number | bigint>
}

/** Values by parameter name, in the model's order. */
export type StateDict = Map<string, { shape: readonly number[]; data: Float32Array<ArrayBuffer> }>

/** What loading left out. */
export interface LoadResult {
  /** Parameters that the state has no values for; they keep theirs. */
  missingKeys: string[]
  /** Names in the state that are no parameters. */
  unexpectedKeys: string[]
}

export async function readState(parameters: Iterable<[string, Parameter]>): Promise<StateDict> {
  const state: StateDict = new Map()
  for (const [name, parameter] of parameters)
    state.set(name, { shape: parameter.shape, data: await readParameter(parameter) })
  return state
}

/** Sets values by name. Everything is checked before the first value is set. */
export function writeState(
  parameters: Iterable<[string, Parameter]>,
  state: Iterable<readonly [string, StateTensor]>,
  strict: boolean,
): LoadResult {
  const known = new Map(parameters)
  const given = new Map(state)
  const missingKeys = [...known.keys()].filter(name => !given.has(name))
  const unexpectedKeys = [...given.keys()].filter(name => !known.has(name))
  if (strict && missingKeys.length + unexpectedKeys.length) {
    const says = [
      missingKeys.length ? `no values for ${missingKeys.join(', ')}` : '',
      unexpectedKeys.length ? `values for ${unexpectedKeys.join(', ')}, which the module has not` : '',
    ]
    throw new CheckpointError(`the state dict has ${says.filter(Boolean).join('; ')}`)
  }
  const found = [...known].flatMap(([name, parameter]) => {
    const tensor = given.get(name)
    return tensor ? [{ name, parameter, tensor }] : []
  })
  const values = found.map(({ name, parameter, tensor: { shape, data } }) => {
    if (shape.join() !== parameter.shape.join())
      throw new CheckpointError(
        `the state dict's '${name}' has shape [${shape}], expected [${parameter.shape}]`,
      )
    if (data.length !== parameter.size || typeof data[0] === 'bigint')
      throw new CheckpointError(
        `the state dict's '${name}' has ${data.length} ${typeof data[0]}s, expected ${parameter.size} floating-point numbers`,
      )
    return data instanceof Float32Array ? data : Float32Array.from(data as ArrayLike<number>)
  })
  for (const [i, { parameter }] of found.entries()) writeParameter(parameter, values[i]!)
  return { missingKeys, unexpectedKeys }
}
