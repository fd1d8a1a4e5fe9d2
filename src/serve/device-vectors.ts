// Vectors on the device, where a query is scored against all of them: rows padded to 16 bytes, cut into bindings.
import { empty, type Tensor } from '../autograd/index.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { embedding, type TableShard } from '../kernels/embedding.ts'
import { topK } from '../kernels/topk.ts'
import { vectorScores } from '../kernels/vector_scores.ts'
import { type VectorCache, vectorsOf } from './vector-cache.ts'

/** Norms count as at least this, as in the model's cosine. */
const LEAST_NORM = 1e-6

/** Vectors of a cache, and one over their norms. */
export class DeviceVectors {
  readonly #gpu: Gpu
  readonly #shards: { view: View; first: number; rows: number }[] = []
  readonly #scale: View
  readonly #bytes: boolean
  readonly #width: number
  readonly rows: number

  constructor(gpu: Gpu, { vectors, size, storage, ids }: VectorCache) {
    this.#gpu = gpu
    this.rows = ids.length
    this.#bytes = storage === 'bytes'
    const piece = this.#bytes ? 16 : 4
    this.#width = Math.ceil(size / piece) * piece
    const rowBytes = this.#width * (this.#bytes ? 1 : 4)
    const most = Math.floor(gpu.maxBinding / rowBytes)
    for (let first = 0; first < this.rows; first += most) {
      const rows = Math.min(most, this.rows - first)
      const view = gpu.allocate(rows * rowBytes)
      this.#shards.push({ view, first, rows })
      this.#upload(view, vectors, size, first, rows)
    }
    this.#scale = gpu.allocate(4 * this.rows)
    gpu.upload(this.#scale, this.#scales(vectors, size))
  }

  #upload(view: View, vectors: VectorCache['vectors'], size: number, first: number, rows: number): void {
    if (size === this.#width) {
      this.#gpu.upload(view, vectors.subarray(first * size, (first + rows) * size))
      return
    }
    const padded = this.#bytes ? new Uint8Array(rows * this.#width) : new Float32Array(rows * this.#width)
    for (let row = 0; row < rows; row++)
      padded.set(vectors.subarray((first + row) * size, (first + row + 1) * size), row * this.#width)
    this.#gpu.upload(view, padded)
  }

  #scales(vectors: VectorCache['vectors'], size: number): Float32Array<ArrayBuffer> {
    return Float32Array.from({ length: this.rows }, (_, row) => {
      let sum = 0
      for (let i = row * size; i < (row + 1) * size; i++) {
        const value = this.#bytes ? (vectors[i]! * 2) / 255 - 1 : vectors[i]!
        sum += value * value
      }
      return 1 / Math.max(Math.sqrt(sum), LEAST_NORM)
    })
  }

  /** Records the cosines of a query [size] with all vectors. The caller releases the view [rows]. */
  cosines(query: Float32Array): View {
    const gpu = this.#gpu
    const norm = Math.max(Math.sqrt(query.reduce((sum, value) => sum + value * value, 0)), LEAST_NORM)
    const padded = new Float32Array(this.#width)
    padded.set(query.map(value => value / norm))
    const [given, scores] = [gpu.from(padded), gpu.acquire(4 * this.rows)]
    for (const { view, first, rows } of this.#shards)
      vectorScores(gpu, {
        query: given,
        vectors: view,
        scores,
        scale: this.#scale,
        first,
        N: rows,
        E: this.#width,
        bytes: this.#bytes,
      })
    gpu.release(given)
    return scores
  }

  release(): void {
    for (const { view } of this.#shards) this.#gpu.release(view)
    this.#gpu.release(this.#scale)
  }
}

/** Vectors of a cache as float32, from which rows are taken; bytes are turned into numbers once, and have four times their size here. */
export class DeviceRows {
  readonly #gpu: Gpu
  readonly #size: number
  readonly #table: TableShard[] = []

  constructor(gpu: Gpu, cache: VectorCache) {
    const { size, ids } = cache
    this.#gpu = gpu
    this.#size = size
    const most = Math.floor(gpu.maxBinding / (4 * size))
    for (let firstRow = 0; firstRow < ids.length; firstRow += most) {
      const rows = Math.min(most, ids.length - firstRow)
      const view = gpu.allocate(4 * rows * size)
      this.#table.push({ view, firstRow, rows })
      gpu.upload(view, vectorsOf(cache, { first: firstRow, end: firstRow + rows }))
    }
  }

  /** [rows.length, size], in the order given. */
  take(rows: readonly number[]): Tensor {
    const gpu = this.#gpu
    const [n, H] = [rows.length, this.#size]
    const taken = empty(gpu, [n, H])
    const ids = gpu.from(Uint32Array.from(rows))
    embedding(gpu, { table: this.#table, ids, out: taken.view, n, H })
    gpu.release(ids)
    return taken
  }

  release(): void {
    for (const { view } of this.#table) this.#gpu.release(view)
  }
}

/** Rows of the k greatest of `scores` [n], equal ones by row. */
export async function bestRows(gpu: Gpu, scores: View, n: number, k: number): Promise<Uint32Array> {
  const indices = gpu.acquire(4 * k)
  try {
    topK(gpu, { x: scores, indices, O: 1, R: n, I: 1, k })
    return await gpu.readUints({ ...indices, size: 4 * k })
  } finally {
    gpu.release(indices)
  }
}
