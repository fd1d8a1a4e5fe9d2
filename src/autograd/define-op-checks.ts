// What `defineOp` is given, and what the operations it makes are called with.
import { expectFunction, expectOptions, shown } from '../check.ts'
import { ArgumentError, ConfigError, ShapeError } from '../errors.ts'
import { expectDevice, expectTensor } from './checks.ts'
import { DTYPES, type DType, Tensor } from './tensor.ts'

const KEYS = ['name', 'inputs', 'dtypes', 'mixed', 'shape', 'saved', 'forward', 'backward']

/** An input's name without the mark of one that may be left out. */
export const plainName = (input: string): string => (input.endsWith('?') ? input.slice(0, -1) : input)

/** @throws ConfigError or ArgumentError naming the key of the definition that is wrong */
export function checkDefinition(definition: unknown): void {
  expectOptions('defineOp: definition', definition, KEYS)
  const { name, inputs, dtypes, shape, saved, forward, backward } = definition as Record<string, unknown>
  if (typeof name !== 'string' || !name)
    throw new ConfigError(`defineOp: name is ${shown(name)}, expected a text`)
  if (!Array.isArray(inputs) || !inputs.length || inputs.some(input => typeof input !== 'string'))
    throw new ConfigError(
      `defineOp: inputs of ${name} are ${shown(inputs)}, expected an array of at least one name`,
    )
  const names = inputs.map(plainName)
  expectOptions(`defineOp: dtypes of ${name}`, dtypes, names)
  for (const input of names) {
    const allowed = (dtypes as Record<string, unknown>)[input]
    if (Array.isArray(allowed) && allowed.length && allowed.every(dtype => DTYPES.includes(dtype))) continue
    const got = Array.isArray(allowed) ? `[${allowed}]` : shown(allowed)
    throw new ConfigError(
      `defineOp: dtypes of ${name}, ${input} are ${got}, expected an array of f32, f16, u32`,
    )
  }
  expectFunction(`defineOp: forward of ${name}`, forward)
  for (const [key, body] of Object.entries({ shape, saved, backward }))
    if (body !== undefined) expectFunction(`defineOp: ${key} of ${name}`, body)
}

/** An input of an operation, as every call of it is held against. */
interface Parameter {
  name: string
  optional: boolean
  dtypes: readonly DType[]
  /** Has the dtype of the others like it in any call. */
  paired: boolean
}

/** What the calls of an operation are held against. */
export interface Signature {
  name: string
  /** The inputs as they were given, for messages. */
  inputs: readonly string[]
  parameters: readonly Parameter[]
}

/** Read off a definition once, as every call needs it. */
export function signatureOf(definition: {
  name: string
  inputs: readonly string[]
  dtypes: { readonly [name: string]: readonly DType[] }
  mixed?: boolean | undefined
}): Signature {
  const { name, inputs, dtypes, mixed } = definition
  const parameters = inputs.map((input): Parameter => {
    const name = plainName(input)
    const allowed = dtypes[name]!
    const paired = !mixed && allowed.includes('f32') && allowed.includes('f16')
    return { name, optional: name !== input, dtypes: allowed, paired }
  })
  return { name, inputs, parameters }
}

/** @throws ShapeError for a wrong number of tensors; ArgumentError for one that the operation does not take */
export function checkCall(signature: Signature, args: readonly unknown[]): void {
  const { name, parameters } = signature
  let first: number | undefined
  let paired: number | undefined
  for (let i = 0; i < parameters.length; i++) {
    if (args[i] instanceof Tensor) first ??= i
    else if (!(parameters[i]!.optional && args[i] === undefined)) throw notGiven(signature, args, i)
  }
  if (first === undefined) throw notGiven(signature, args, 0)
  if (args.length > parameters.length + 1 || args[parameters.length] instanceof Tensor)
    throw new ShapeError(
      `${name} takes ${parameters.length} tensors (${signature.inputs.join(', ')}) and at most one object or number of options, got ${args.length} arguments`,
    )
  const { gpu } = args[first] as Tensor
  for (let i = first; i < parameters.length; i++) {
    const tensor = args[i] as Tensor | undefined
    if (!tensor) continue
    const parameter = parameters[i]!
    expectTensor(name, parameter.name, tensor, parameter.dtypes)
    expectDevice(name, parameter.name, tensor.gpu, parameters[first]!.name, gpu)
    if (!parameter.paired || tensor.dtype === 'u32') continue
    paired ??= i
    const { dtype } = args[paired] as Tensor
    if (tensor.dtype !== dtype)
      throw new ArgumentError(
        `${name}: ${parameter.name} is ${tensor.dtype} and ${parameters[paired]!.name} is ${dtype}, expected one dtype; cast() one of them`,
      )
  }
}

function notGiven({ name, inputs, parameters }: Signature, args: readonly unknown[], i: number): ShapeError {
  const given = args.slice(0, inputs.length).filter(arg => arg instanceof Tensor).length
  return new ShapeError(
    `${name} takes ${inputs.length} tensors (${inputs.join(', ')}), got ${given}: ${parameters[i]!.name} is ${shown(args[i])}`,
  )
}
