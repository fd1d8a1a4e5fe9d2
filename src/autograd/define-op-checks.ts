// What `defineOp` is given, and what the operations it makes are called with.
import { expectFunction, expectOptions, shown } from '../check.ts'
import { ArgumentError, ConfigError, ShapeError } from '../errors.ts'
import { expectDevice, expectTensor } from './checks.ts'
import { type DType, Tensor } from './tensor.ts'

const KEYS = ['name', 'inputs', 'dtypes', 'mixed', 'shape', 'saved', 'forward', 'backward']
const DTYPES: readonly string[] = ['f32', 'f16', 'u32']

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

interface Checked {
  name: string
  inputs: readonly string[]
  dtypes: { readonly [name: string]: readonly DType[] }
  mixed?: boolean | undefined
}

/** @throws ShapeError for a wrong number of tensors; ArgumentError for one that the operation does not take */
export function checkCall({ name, inputs, dtypes, mixed }: Checked, args: readonly unknown[]): void {
  const absent = (i: number) => inputs[i]!.endsWith('?') && args[i] === undefined
  const given = args.slice(0, inputs.length).filter(arg => arg instanceof Tensor) as Tensor[]
  const missing = inputs.findIndex((_, i) => !(args[i] instanceof Tensor) && !absent(i))
  if (missing >= 0 || given.length === 0)
    throw new ShapeError(
      `${name} takes ${inputs.length} tensors (${inputs.join(', ')}), got ${given.length}: ${plainName(inputs[Math.max(missing, 0)]!)} is ${shown(args[Math.max(missing, 0)])}`,
    )
  if (args.length > inputs.length + 1 || args[inputs.length] instanceof Tensor)
    throw new ShapeError(
      `${name} takes ${inputs.length} tensors (${inputs.join(', ')}) and at most one object or number of options, got ${args.length} arguments`,
    )
  const first = args.findIndex(arg => arg instanceof Tensor)
  let paired: number | undefined
  for (const [i, raw] of inputs.entries()) {
    if (absent(i)) continue
    const [input, allowed, tensor] = [plainName(raw), dtypes[plainName(raw)]!, args[i] as Tensor]
    expectTensor(name, input, tensor, allowed)
    expectDevice(name, input, tensor.gpu, plainName(inputs[first]!), given[0]!.gpu)
    if (mixed || tensor.dtype === 'u32' || !(allowed.includes('f32') && allowed.includes('f16'))) continue
    paired ??= i
    const { dtype } = args[paired] as Tensor
    if (tensor.dtype !== dtype)
      throw new ArgumentError(
        `${name}: ${input} is ${tensor.dtype} and ${plainName(inputs[paired]!)} is ${dtype}, expected one dtype; cast() one of them`,
      )
  }
}
