// The safetensors format: 8 bytes of header length (little-endian), a JSON header, then the tensors' bytes without
// gaps. This part needs no file system; safetensors-file.ts reads and writes files too large to hold in memory.
// Format: https://github.com/huggingface/safetensors#format
import { CheckpointError } from '../errors.ts'
import { duplicateKey } from './json-keys.ts'

/** Values as a typed array; F16 and BF16 have their own reading, see `SafetensorsTensor.data`. */
export type TensorArray =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array

/** Bytes per element, and the typed array its bytes are read as. */
const DTYPES = {
  F64: [8, Float64Array],
  F32: [4, Float32Array],
  F16: [2, Uint16Array],
  BF16: [2, Uint16Array],
  I64: [8, BigInt64Array],
  U64: [8, BigUint64Array],
  I32: [4, Int32Array],
  U32: [4, Uint32Array],
  I16: [2, Int16Array],
  U16: [2, Uint16Array],
  I8: [1, Int8Array],
  U8: [1, Uint8Array],
  BOOL: [1, Uint8Array],
} as const
/** Element types by the format's names. */
export type SafetensorsDtype = keyof typeof DTYPES

/** One tensor's header entry; `begin` and `end` are byte offsets into the data section. */
export interface TensorInfo {
  /** The name in the file. */
  name: string
  /** Element type in the file. */
  dtype: SafetensorsDtype
  /** Sizes of the dimensions. */
  shape: number[]
  /** First byte of the data section. */
  begin: number
  /** Byte after the last. */
  end: number
}

/** A tensor of a file. */
export interface SafetensorsTensor {
  /** Element type in the file. */
  dtype: SafetensorsDtype
  /** Sizes of the dimensions. */
  shape: number[]
  /** Row-major values; F16 and BF16 arrive as Float32Array, BOOL as bytes 0 and 1. Decoded on first use. */
  readonly data: TensorArray
}

/** A file's metadata and tensors. */
export interface Safetensors {
  /** Texts that the file's writer added. */
  metadata: Record<string, string>
  /** In the order of their bytes. */
  tensors: Map<string, SafetensorsTensor>
}

/** What a file says of its tensors, without their values. @internal */
export interface SafetensorsHeader {
  /** Texts that the file's writer added. */
  metadata: Record<string, string>
  /** By name, in the order of their bytes. */
  tensors: Map<string, TensorInfo>
}

// The reference implementation refuses larger headers too, so that a broken length cannot eat the memory.
const MAX_HEADER = 100_000_000

/** Bytes of one element. @internal */
export const itemSize = (dtype: SafetensorsDtype): number => DTYPES[dtype][0]

/** Number of elements of a shape; 1 for a scalar. @internal */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1)

/**
 * Reads the header's length from the first 8 bytes of a file of `fileSize` bytes.
 * @throws CheckpointError naming `where` when the length cannot be right.
 * @internal
 */
export function headerLength(start: Uint8Array, fileSize: number, where: string): number {
  if (fileSize < 8 || start.length < 8) {
    throw new CheckpointError(`${where}: ${fileSize} bytes are too few for a safetensors file`)
  }
  const length = Number(new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true))
  if (length > Math.min(MAX_HEADER, fileSize - 8)) {
    throw new CheckpointError(
      `${where}: the header claims ${length} bytes, but the file has ${fileSize - 8} after its length ` +
        '(cut short, or not a safetensors file)',
    )
  }
  return length
}

/**
 * Reads and checks a header: known dtypes, offsets that fit the shapes and cover the data without overlap or gap.
 * @param json the header's bytes, without the length.
 * @param dataSize bytes after the header.
 * @throws CheckpointError naming `where` and the tensor.
 * @internal
 */
export function parseHeader(json: Uint8Array, dataSize: number, where: string): SafetensorsHeader {
  let text: string
  let header: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(json)
    header = JSON.parse(text)
  } catch (error) {
    throw new CheckpointError(`${where}: the header is not valid JSON: ${(error as Error).message}`)
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new CheckpointError(`${where}: the header is not a JSON object`)
  }
  const twice = duplicateKey(text)
  if (twice !== undefined) throw new CheckpointError(`${where}: the header names '${twice}' twice`)

  let metadata: Record<string, string> = {}
  const infos: TensorInfo[] = []
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') metadata = parseMetadata(entry, where)
    else infos.push(parseInfo(name, entry, `${where}: tensor '${name}'`))
  }
  infos.sort((a, b) => a.begin - b.begin || a.end - b.end)
  let covered = 0
  let last = ''
  for (const { name, begin, end } of infos) {
    if (end > dataSize) {
      throw new CheckpointError(
        `${where}: tensor '${name}' ends at byte ${end}, but the data has ${dataSize} bytes (is the file cut short?)`,
      )
    }
    if (begin < covered) throw new CheckpointError(`${where}: tensor '${name}' overlaps tensor '${last}'`)
    if (begin > covered) {
      throw new CheckpointError(
        `${where}: bytes ${covered} to ${begin} before tensor '${name}' belong to none`,
      )
    }
    covered = end
    last = name
  }
  if (covered !== dataSize) {
    throw new CheckpointError(`${where}: ${dataSize - covered} bytes after the last tensor belong to none`)
  }
  return { metadata, tensors: new Map(infos.map(info => [info.name, info])) }
}

function parseMetadata(entry: unknown, where: string): Record<string, string> {
  const ok =
    typeof entry === 'object' && entry !== null && Object.values(entry).every(v => typeof v === 'string')
  if (!ok || Array.isArray(entry)) {
    throw new CheckpointError(`${where}: __metadata__ is not an object of strings`)
  }
  return entry as Record<string, string>
}

function parseInfo(name: string, entry: unknown, at: string): TensorInfo {
  if (typeof entry !== 'object' || entry === null) throw new CheckpointError(`${at} has no header entry`)
  const { dtype, shape, data_offsets } = entry as Record<string, unknown>
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPES, dtype)) {
    throw new CheckpointError(
      `${at} has ${dtype === undefined ? 'no dtype' : `dtype ${JSON.stringify(dtype)}`}, expected one of ${Object.keys(DTYPES).join(', ')}`,
    )
  }
  const isSize = (n: unknown) => Number.isSafeInteger(n) && (n as number) >= 0
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    throw new CheckpointError(
      `${at} has ${shape === undefined ? 'no shape' : `shape ${JSON.stringify(shape)}`}, expected a list of sizes`,
    )
  }
  const offsets = data_offsets as number[]
  if (
    !Array.isArray(offsets) ||
    offsets.length !== 2 ||
    !offsets.every(isSize) ||
    offsets[0]! > offsets[1]!
  ) {
    throw new CheckpointError(
      `${at} has ${offsets === undefined ? 'no data_offsets' : `data_offsets ${JSON.stringify(offsets)}`}, expected [begin, end]`,
    )
  }
  const [begin, end] = offsets as [number, number]
  const bytes = sizeOf(shape) * itemSize(dtype as SafetensorsDtype)
  if (end - begin !== bytes) {
    throw new CheckpointError(
      `${at} spans ${end - begin} bytes, but ${dtype} of shape [${shape.join(', ')}] takes ${bytes}`,
    )
  }
  return { name, dtype: dtype as SafetensorsDtype, shape, begin, end }
}

/** Values of a tensor's bytes; a view where alignment and dtype allow, otherwise a copy. @internal */
export function decodeTensor(dtype: SafetensorsDtype, bytes: Uint8Array): TensorArray {
  const [size, ArrayType] = DTYPES[dtype]
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice()
  const raw = new ArrayType(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / size)
  if (dtype === 'F16') return Float32Array.from(raw as Uint16Array, fromHalf)
  if (dtype !== 'BF16') return raw
  const bits = new Uint32Array(raw.length) // bfloat16 is the upper half of a float32.
  for (let i = 0; i < raw.length; i++) bits[i] = (raw[i] as number) << 16
  return new Float32Array(bits.buffer)
}

function fromHalf(bits: number): number {
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  const sign = bits & 0x8000 ? -1 : 1
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024))
}

/**
 * Reads a safetensors file held in memory. The tensors' values are views where they can be, decoded on first use.
 * @param where a name for error messages.
 * @throws CheckpointError naming `where` and the tensor.
 */
export function parseSafetensors(file: Uint8Array | ArrayBuffer, where = 'safetensors'): Safetensors {
  const bytes = file instanceof Uint8Array ? file : new Uint8Array(file)
  const start = 8 + headerLength(bytes.subarray(0, 8), bytes.length, where)
  const { metadata, tensors } = parseHeader(bytes.subarray(8, start), bytes.length - start, where)
  const lazy = (info: TensorInfo): SafetensorsTensor => {
    let data: TensorArray | undefined
    return {
      dtype: info.dtype,
      shape: info.shape,
      get data() {
        data ??= decodeTensor(info.dtype, bytes.subarray(start + info.begin, start + info.end))
        return data
      },
    }
  }
  return { metadata, tensors: new Map([...tensors].map(([name, info]) => [name, lazy(info)])) }
}

/**
 * Lays tensors out behind a header. Larger element sizes come first, so that every tensor stays aligned.
 * @returns the file's first bytes (length and header, padded with spaces to 8 bytes) and the entries in file order.
 * @throws CheckpointError naming `where` on a repeated name.
 * @internal
 */
export function layOut<E extends { name: string; dtype: SafetensorsDtype; shape: readonly number[] }>(
  entries: readonly E[],
  metadata: Record<string, string> | undefined,
  where: string,
): { head: Uint8Array; ordered: E[]; dataSize: number } {
  const ordered = [...entries].sort((a, b) => itemSize(b.dtype) - itemSize(a.dtype))
  // Written pair by pair: an object would move integer-like names to the front.
  const pairs = metadata && Object.keys(metadata).length ? [`"__metadata__":${JSON.stringify(metadata)}`] : []
  const seen = new Set(['__metadata__'])
  let at = 0
  for (const { name, dtype, shape } of ordered) {
    if (seen.has(name)) throw new CheckpointError(`${where}: tensor name '${name}' is taken`)
    seen.add(name)
    const end = at + sizeOf(shape) * itemSize(dtype)
    pairs.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [at, end] })}`)
    at = end
  }
  const json = new TextEncoder().encode(`{${pairs.join(',')}}`)
  const padded = Math.ceil(json.length / 8) * 8
  const head = new Uint8Array(8 + padded).fill(0x20)
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true)
  head.set(json, 8)
  return { head, ordered, dataSize: at }
}

/** A tensor to write. F16 and BF16 are given as their bits in a Uint16Array. */
export interface TensorToWrite {
  /** The name in the file. */
  name: string
  /** What the array's type says when left out: Float32Array is F32, BigInt64Array is I64, and so on. */
  dtype?: SafetensorsDtype
  /** Sizes of the dimensions; their product is the number of values. */
  shape: readonly number[]
  /** Row-major values. */
  data: TensorArray
}

/**
 * Builds a safetensors file in memory.
 * @throws CheckpointError naming the tensor when its data does not fit its shape and dtype, or a name repeats.
 */
export function serializeSafetensors(
  tensors: Iterable<TensorToWrite>,
  metadata?: Record<string, string>,
): Uint8Array<ArrayBuffer> {
  const entries = [...tensors].map(tensor => ({ ...tensor, dtype: tensor.dtype ?? dtypeOf(tensor.data) }))
  for (const { name, dtype, shape, data } of entries) {
    if (data.constructor === DTYPES[dtype][1] && data.length === sizeOf(shape)) continue
    throw new CheckpointError(
      `tensor '${name}': ${data.constructor.name} of length ${data.length} is not ${dtype} of shape [${shape.join(', ')}]`,
    )
  }
  const { head, ordered, dataSize } = layOut(entries, metadata, 'safetensors')
  const file = new Uint8Array(head.length + dataSize)
  file.set(head)
  let at = head.length
  for (const { data } of ordered) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at)
    at += data.byteLength
  }
  return file
}

function dtypeOf(data: TensorArray): SafetensorsDtype {
  const names = Object.keys(DTYPES) as SafetensorsDtype[]
  // 16-bit floats share Uint16Array with U16, which is what such an array means when nothing else is said.
  return names.find(name => name !== 'F16' && name !== 'BF16' && DTYPES[name][1] === data.constructor)!
}
