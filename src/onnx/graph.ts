// A graph as ONNX has it, put together node by node: values are names, weights are named as in model.safetensors and written once.
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
import type { Parameter } from '../autograd/index.ts'
import { ConfigError } from '../errors.ts'
import { float, int, type Later, nested, type Piece, text } from './protobuf.ts'

/** What a value is called in the graph. */
export type Value = string
/** A size, or the name of one that the caller chooses. */
export type Dim = number | string

/** A tensor that goes in or comes out. */
export interface OnnxTensor {
  name: string
  dtype: 'float32' | 'int64'
  /** Sizes; those with names are whatever is given. */
  shape: Dim[]
}

const DTYPES = { float32: 1, int64: 7, bool: 9 } as const
/** Of `Cast`'s attribute `to`. */
export const FLOAT = DTYPES.float32

type Attribute = number | readonly number[] | { float: number }
interface Node {
  op: string
  inputs: readonly Value[]
  output: Value
  attributes: Record<string, Attribute>
}
interface Constant {
  name: string
  dtype: keyof typeof DTYPES
  dims: readonly number[]
  data: Uint8Array
}

/** Makes one graph. */
export class Graph {
  readonly inputs: OnnxTensor[] = []
  readonly outputs: OnnxTensor[] = []
  /** The weights that nodes read, by the names they have in the file. */
  readonly weights = new Map<string, Parameter>()
  readonly #names: ReadonlyMap<Parameter, string>
  readonly #taken: Set<string>
  readonly #nodes: Node[] = []
  readonly #constants = new Map<string, Constant>()
  readonly #reserved: ReadonlySet<string>

  /**
   * @param names what weights are called.
   * @param reserved names of what goes in and comes out: nothing else is called so.
   */
  constructor(names: ReadonlyMap<Parameter, string>, reserved: readonly string[]) {
    const twice = reserved.find((name, i) => reserved.indexOf(name) < i)
    if (twice !== undefined)
      throw new ConfigError(
        `a graph has one tensor called '${twice}', and the model a feature of that name beside it; rename the feature, or leave it out`,
      )
    this.#names = names
    this.#reserved = new Set(reserved)
    this.#taken = new Set(reserved)
  }

  /** What the caller feeds. */
  input(name: string, dtype: OnnxTensor['dtype'], shape: Dim[]): Value {
    this.#expectReserved(name)
    this.inputs.push({ name, dtype, shape })
    return name
  }

  /** What the caller gets. */
  output(name: string, value: Value, shape: Dim[]): void {
    this.#expectReserved(name)
    this.#nodes.push({ op: 'Identity', inputs: [value], output: name, attributes: {} })
    this.outputs.push({ name, dtype: 'float32', shape })
  }

  #expectReserved(name: string): void {
    if (!this.#reserved.has(name)) throw new ConfigError(`'${name}' was not named to the graph`)
  }

  /** The result of a node; inputs that are left out are ''. */
  node(op: string, inputs: readonly Value[], attributes: Record<string, Attribute> = {}): Value {
    const output = this.#free(`${op}_${this.#nodes.length}`)
    this.#nodes.push({ op, inputs, output, attributes })
    return output
  }

  /** A weight. */
  weight(parameter: Parameter): Value {
    const known = this.#names.get(parameter)!
    for (const [name, other] of this.weights) if (other === parameter) return name
    const name = this.#free(known)
    this.weights.set(name, parameter)
    return name
  }

  /** Whole numbers [n], as shapes and axes are. */
  ints(values: readonly number[]): Value {
    const data = new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
    return this.#constant({ dtype: 'int64', dims: [values.length], data }, values)
  }

  /** One whole number. */
  int(value: number): Value {
    const data = new Uint8Array(BigInt64Array.of(BigInt(value)).buffer)
    return this.#constant({ dtype: 'int64', dims: [], data }, value)
  }

  /** One number. */
  float(value: number): Value {
    const data = new Uint8Array(Float32Array.of(value).buffer)
    return this.#constant({ dtype: 'float32', dims: [], data }, value)
  }

  #constant(constant: Omit<Constant, 'name'>, value: unknown): Value {
    const key = `${constant.dtype} ${JSON.stringify(value)}`
    const known = this.#constants.get(key)
    if (known) return known.name
    const name = this.#free(`constant_${this.#constants.size}`)
    this.#constants.set(key, { ...constant, name })
    return name
  }

  #free(wanted: string): string {
    let name = wanted
    for (let i = 1; this.#taken.has(name); i++) name = `${wanted}_${i}`
    this.#taken.add(name)
    return name
  }

  /**
   * GraphProto.
   * @param values of a weight: its little-endian bytes.
   * @param location the file that holds them, one weight behind the other, where it is not this one.
   */
  encode(name: string, values: (parameter: Parameter) => Later, location?: string): Piece[] {
    let offset = 0
    const weight = (name: string, parameter: Parameter): Piece[] => {
      const data = values(parameter)
      const place = { location, offset, length: data.size }
      offset += data.size
      const head = { name, dtype: 'float32', dims: parameter.shape } as const
      return tensorProto(head, location === undefined ? nested(9, [data]) : external(place))
    }
    return [
      ...this.#nodes.flatMap(node => nested(1, nodeProto(node))),
      ...text(2, name),
      ...this.inputs.flatMap(tensor => nested(11, valueInfo(tensor))),
      ...this.outputs.flatMap(tensor => nested(12, valueInfo(tensor))),
      ...[...this.#constants.values()].flatMap(one => nested(5, tensorProto(one, nested(9, [one.data])))),
      ...[...this.weights].flatMap(([name, parameter]) => nested(5, weight(name, parameter))),
    ]
  }
}

function nodeProto({ op, inputs, output, attributes }: Node): Piece[] {
  return [
    ...inputs.flatMap(name => text(1, name)),
    ...text(2, output),
    ...text(3, `node ${output}`),
    ...text(4, op),
    ...Object.entries(attributes).flatMap(([name, value]) => nested(5, attributeProto(name, value))),
  ]
}

function attributeProto(name: string, value: Attribute): Piece[] {
  const [FLOAT_TYPE, INT_TYPE, INTS_TYPE] = [1, 2, 7]
  if (typeof value === 'number') return [...text(1, name), int(3, value), int(20, INT_TYPE)]
  if ('float' in value) return [...text(1, name), float(2, value.float), int(20, FLOAT_TYPE)]
  return [...text(1, name), ...value.map(one => int(8, one)), int(20, INTS_TYPE)]
}

function tensorProto({ name, dtype, dims }: Omit<Constant, 'data'>, data: Piece[]): Piece[] {
  return [...dims.map(dim => int(1, dim)), int(2, DTYPES[dtype]), ...text(8, name), ...data]
}

/** Where the bytes of a tensor are, in another file. */
function external(place: Record<string, string | number | undefined>): Piece[] {
  const EXTERNAL = 1
  const entries = Object.entries(place).flatMap(([key, value]) =>
    nested(13, [...text(1, key), ...text(2, String(value))]),
  )
  return [...entries, int(14, EXTERNAL)]
}

function valueInfo({ name, dtype, shape }: OnnxTensor): Piece[] {
  const dims = shape.flatMap(dim => nested(1, typeof dim === 'number' ? [int(1, dim)] : text(2, dim)))
  const tensor = [int(1, DTYPES[dtype]), ...nested(2, dims)]
  return [...text(1, name), ...nested(2, nested(1, tensor))]
}
