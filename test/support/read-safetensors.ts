import { readFileSync } from 'node:fs'

export interface StoredTensor {
  dtype: string
  shape: number[]
  data: Float32Array | Float64Array | Int32Array | number[]
}

const DECODE: Record<string, (bytes: ArrayBuffer) => StoredTensor['data']> = {
  F32: bytes => new Float32Array(bytes),
  F64: bytes => new Float64Array(bytes),
  I32: bytes => new Int32Array(bytes),
  I64: bytes => Array.from(new BigInt64Array(bytes), Number),
}

/**
 * Reads a safetensors file: the header's length as little-endian u64, the header as JSON, then the bytes of the tensors.
 * Source: https://huggingface.co/docs/safetensors, "Format"
 */
export function readSafetensors(path: string): Map<string, StoredTensor> {
  const file = new Uint8Array(readFileSync(path))
  const start = 8 + Number(new DataView(file.buffer).getBigUint64(0, true))
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start)))
  const tensors = new Map<string, StoredTensor>()
  for (const [name, { dtype, shape, data_offsets: at }] of Object.entries<{
    dtype: string
    shape: number[]
    data_offsets: [number, number]
  }>(header)) {
    if (name === '__metadata__') continue
    const decode = DECODE[dtype]
    if (!decode) throw new Error(`${path}: ${name} has dtype ${dtype}, expected ${Object.keys(DECODE)}`)
    tensors.set(name, { dtype, shape, data: decode(file.slice(start + at[0], start + at[1]).buffer) })
  }
  return tensors
}
