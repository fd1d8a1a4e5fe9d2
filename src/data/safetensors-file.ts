// Safetensors files larger than memory should hold. Tensors are read one by one, or a few rows at a time,
// and written as a stream of chunks.
import { files } from '#files'
import { CheckpointError, DataError } from '../errors.ts'
import type { ReadFile } from './file-system.ts'
import { reason, writeFileAtomic } from './files.ts'
import {
  decodeTensor,
  headerLength,
  itemSize,
  layOut,
  parseHeader,
  type SafetensorsDtype,
  sizeOf,
  type TensorArray,
  type TensorInfo,
} from './safetensors.ts'

/** An open safetensors file: the header is checked, the data still on disk. */
export interface SafetensorsFile {
  path: string
  metadata: Record<string, string>
  /** In the order of their bytes. */
  tensors: ReadonlyMap<string, TensorInfo>
  /** All values of one tensor. F16 and BF16 arrive as Float32Array. */
  read(name: string): Promise<TensorArray>
  /** Rows `begin` to `end` (exclusive) of one tensor along its first dimension. */
  readRows(name: string, begin: number, end: number): Promise<TensorArray>
  /** Bytes `begin` to `end` (exclusive) of one tensor. */
  readBytes(name: string, begin: number, end: number): Promise<Uint8Array<ArrayBuffer>>
  close(): Promise<void>
}

/**
 * Opens a safetensors file and checks its header against the file's size. Close it after use.
 * @throws CheckpointError naming the file, and the tensor where one is at fault.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const refuse = (error: unknown): never => {
    if (error instanceof CheckpointError) throw error
    throw new CheckpointError(`cannot read ${path}: ${reason(error)}`, { cause: error })
  }
  const file = await files.open(path).catch(refuse)
  try {
    const { size } = file
    const length = headerLength(await readFully(file, 0, Math.min(8, size), path), size, path)
    const start = 8 + length
    const { metadata, tensors } = parseHeader(await readFully(file, 8, length, path), size - start, path)

    const infoOf = (name: string): TensorInfo => {
      const info = tensors.get(name)
      if (!info) throw new CheckpointError(`${path} has no tensor '${name}'`)
      return info
    }
    const readBytes = async (name: string, begin: number, end: number) => {
      const info = infoOf(name)
      checkRange(begin, end, info.end - info.begin, `${path}: bytes of tensor '${name}'`)
      return readFully(file, start + info.begin + begin, end - begin, `${path}: tensor '${name}'`).catch(
        refuse,
      )
    }
    return {
      path,
      metadata,
      tensors,
      readBytes,
      async read(name) {
        const info = infoOf(name)
        return decodeTensor(info.dtype, await readBytes(name, 0, info.end - info.begin))
      },
      async readRows(name, begin, end) {
        const { dtype, shape } = infoOf(name)
        checkRange(begin, end, shape[0] ?? 0, `${path}: rows of tensor '${name}'`)
        const row = sizeOf(shape.slice(1)) * itemSize(dtype)
        return decodeTensor(dtype, await readBytes(name, begin * row, end * row))
      },
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    return refuse(error)
  }
}

function checkRange(begin: number, end: number, size: number, what: string): void {
  if (Number.isInteger(begin) && Number.isInteger(end) && begin >= 0 && begin <= end && end <= size) return
  throw new CheckpointError(`${what}: ${begin} to ${end} is outside 0 to ${size}`)
}

async function readFully(file: ReadFile, position: number, length: number, where: string) {
  const bytes = await file.read(position, length)
  if (bytes.length < length)
    throw new CheckpointError(`${where}: the file ends at byte ${position + bytes.length}`)
  return bytes
}

/** A tensor to stream into a file; its chunks, joined, are the tensor's little-endian bytes. */
export interface TensorStream {
  name: string
  dtype: SafetensorsDtype
  shape: readonly number[]
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

/**
 * Writes a safetensors file as a stream, under a temporary name that is synced and renamed: `path` holds its old
 * content or all of the new. Tensors are drawn one after the other, larger element sizes first.
 * @throws CheckpointError naming file and tensor when chunks do not add up to the shape, a name repeats, or the file
 * system refuses; an error thrown by `chunks` passes through.
 * @param onBytes sees every byte of the file, in order, as it is written: for a checksum.
 */
export async function writeSafetensors(
  path: string,
  entries: readonly TensorStream[],
  metadata?: Record<string, string>,
  onBytes?: (bytes: Uint8Array) => void,
): Promise<void> {
  const { head, ordered } = layOut(entries, metadata, path)
  try {
    await writeFileAtomic(path, async file => {
      const write = async (bytes: Uint8Array) => {
        onBytes?.(bytes)
        await file.write(bytes)
      }
      await write(head)
      for (const entry of ordered) await writeTensor(write, entry, path)
    })
  } catch (error) {
    if (error instanceof DataError && error.message.startsWith(`cannot write ${path}`)) {
      throw new CheckpointError(error.message, { cause: error.cause })
    }
    throw error
  }
}

async function writeTensor(
  write: (bytes: Uint8Array) => Promise<void>,
  { name, dtype, shape, chunks }: TensorStream,
  path: string,
) {
  const expected = sizeOf(shape) * itemSize(dtype)
  let written = 0
  for await (const chunk of chunks) {
    written += chunk.byteLength
    if (written > expected) break
    await write(chunk)
  }
  if (written === expected) return
  const got = written > expected ? 'more' : `${written}`
  throw new CheckpointError(
    `${path}: tensor '${name}', ${dtype} of shape [${shape.join(', ')}], takes ${expected} bytes, got ${got}`,
  )
}
