// Tensors between the device and safetensors files, a piece at a time: the host never holds a large one.

import { decodeTensor, itemSize } from '../data/safetensors.ts'
import type { SafetensorsFile } from '../data/safetensors-file.ts'
import type { Gpu, View } from '../gpu/index.ts'
import type { StatePart } from '../optim/index.ts'

const PIECE = 1 << 22 // elements

function* pieces(parts: Iterable<StatePart>): Generator<View> {
  for (const { view, size } of parts) {
    for (let start = 0; start < size; start += PIECE) {
      const bytes = Math.min(PIECE, size - start) * 4
      yield { buffer: view.buffer, offset: view.offset + start * 4, size: bytes }
    }
  }
}

/** The bytes of a float32 tensor whose parts lie on the device. */
export async function* readPieces(gpu: Gpu, parts: Iterable<StatePart>): AsyncGenerator<Uint8Array> {
  for (const view of pieces(parts)) yield new Uint8Array(await gpu.readBytes(view))
}

/** Fills the parts of a float32 tensor from the file's tensor `name`, of any floating-point dtype and the same size. */
export async function writePieces(
  gpu: Gpu,
  parts: Iterable<StatePart>,
  file: SafetensorsFile,
  name: string,
): Promise<void> {
  const { dtype } = file.tensors.get(name)!
  let at = 0
  for (const view of pieces(parts)) {
    const end = at + (view.size / 4) * itemSize(dtype)
    const values = decodeTensor(dtype, await file.readBytes(name, at, end))
    gpu.upload(view, values instanceof Float32Array ? values : Float32Array.from(values as ArrayLike<number>))
    // An upload is held on the host until the device takes it.
    if (view.size === PIECE * 4) await gpu.done()
    at = end
  }
}
