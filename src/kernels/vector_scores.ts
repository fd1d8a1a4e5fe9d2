// Scores of a query against all vectors of a cache.
import { expectFlag } from '../check.ts'
import { ShapeError } from '../errors.ts'
import { type Access, defineKernel, type Gpu, type Kernel, type View, withConstants } from '../gpu/index.ts'
import wgsl from '../wgsl/vector_scores.ts'
import workgroupWgsl from '../wgsl/vector_scores_workgroup.ts'
import { expectOptional, expectSizes, expectView, given } from './checks.ts'
import { GROUP_WGSL } from './groups.ts'

const WG = 64
/** Rows of an invocation. */
const ROWS = 4
/** Of a GPU: invocations of a workgroup, of a row at most, and rows on the way in each. */
const [SHARED_WG, MOST_LANES, SHARED_ROWS] = [256, 8, 2]
/** Numbers in 16 bytes. */
const PIECE = { f32: 4, bytes: 16 }

const declared = {
  name: 'vector_scores',
  entry: 'main',
  params: { N: 'u32', first: 'u32', E: 'u32' },
} as const
const made = new Map<string, Kernel<'N' | 'first' | 'E'>>()

function kernelOf(bytes: boolean, scaled: boolean, lanes: number) {
  const key = `${bytes} ${scaled} ${lanes}`
  let kernel = made.get(key)
  if (!kernel) {
    const bindings: Access[] = ['read', 'read', 'write', ...(scaled ? (['read'] as const) : [])]
    const constants = { BYTES: Number(bytes), SCALED: Number(scaled) }
    kernel = withConstants(
      lanes
        ? defineKernel({ ...declared, bindings, wgsl: GROUP_WGSL + workgroupWgsl, workgroup: SHARED_WG })
        : defineKernel({ ...declared, bindings, wgsl }),
      lanes ? { ...constants, ROWS: SHARED_ROWS, LANES: lanes } : { ...constants, ROWS },
    )
    made.set(key, kernel)
  }
  return kernel
}

/**
 * scores[first + n] = the sum over e of query[e] vectors[n, e], times scale[first + n] where there is a scale: with one over each vector's
 * norm, and a query of norm 1, the cosine. Overwrites N scores.
 *
 * `vectors` is [N, E] float32, or bytes, where u stands for u 2/255 - 1. A row is a whole number of 16 bytes, so E is a multiple of
 * 4, or of 16 for bytes: pad vectors and query with zeros. `query` is [E] float32, `scores` and `scale` float32 of at least first + N. What does
 * not fit one binding is scored by several calls, each with the `first` of its rows.
 *
 * Source of the bytes: TwinBERT, https://arxiv.org/abs/2002.06275
 */
export function vectorScores(
  gpu: Gpu,
  options: {
    query: View
    vectors: View
    scores: View
    scale?: View | undefined
    first?: number
    N: number
    E: number
    bytes?: boolean
  },
): void {
  const { query, vectors, scores, scale, first = 0, N, E, bytes = false } = given('vectorScores', gpu, options)
  expectSizes('vectorScores', { first, N, E })
  expectFlag('vectorScores: bytes', bytes)
  const piece = bytes ? PIECE.bytes : PIECE.f32
  if (E === 0 || E % piece)
    throw new ShapeError(
      `vectorScores: E is ${E}, expected a multiple of ${piece}, 16 bytes of a row; pad with zeros`,
    )
  expectView('vectorScores', 'query', query, E)
  expectView('vectorScores', 'vectors', vectors, (N * E) / (bytes ? 4 : 1))
  expectView('vectorScores', 'scores', scores, first + N)
  expectOptional('vectorScores', { scale }, first + N)
  if (N === 0) return
  const pieces = E / piece
  const lanes =
    gpu.forms.kind === 'hardware' ? Math.min(MOST_LANES, Math.max(2, 2 ** Math.ceil(Math.log2(pieces)))) : 0
  const rows = lanes ? (SHARED_WG / lanes) * SHARED_ROWS : WG * ROWS
  const views = [query, vectors, scores, ...(scale ? [scale] : [])]
  gpu.launch(kernelOf(bytes, scale !== undefined, lanes), { N, first, E: pieces }, views, Math.ceil(N / rows))
}
