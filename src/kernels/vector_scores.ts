// Scores of a query against all vectors of a cache.
import { expectFlag } from '../check.ts'
import { ShapeError } from '../errors.ts'
import { type Access, defineKernel, type Gpu, type Kernel, type View, withConstants } from '../gpu/index.ts'
import wgsl from '../wgsl/vector_scores.ts'
import subgroupWgsl from '../wgsl/vector_scores_subgroup.ts'
import workgroupWgsl from '../wgsl/vector_scores_workgroup.ts'
import { expectOptional, expectSizes, expectView, given } from './checks.ts'
import { GROUP_WGSL } from './groups.ts'

const WG = 64
/** Rows of an invocation that shares none. */
const ROWS = 4
/** Of a GPU: invocations of a workgroup, of a row at most, and rows on the way in each. */
const [SHARED_WG, MOST_LANES, SHARED_ROWS] = [256, 8, 2]
/** Of a subgroup: pieces of a row for each invocation, at most, as all are written out; and so many that fewer rows are. */
const [MOST_PIECES, FEW_PIECES] = [32, 8]
/** Numbers in 16 bytes. */
const PIECE = { f32: 4, bytes: 16 }

const declared = {
  name: 'vector_scores',
  entry: 'main',
  params: { N: 'u32', first: 'u32', E: 'u32' },
} as const
type Sized = Kernel<'N' | 'first' | 'E'>

/** A kernel and the rows that a workgroup of it takes. */
interface Form {
  kernel: Sized
  rows: number
}
const made = new Map<string, Form>()

/** How rows of `pieces` times 16 bytes are shared: by invocations of a GPU's workgroup, of a subgroup, or not. */
function makeForm(gpu: Gpu, pieces: number, bytes: boolean, scaled: boolean): Form {
  const bindings: Access[] = ['read', 'read', 'write', ...(scaled ? (['read'] as const) : [])]
  const constants = { BYTES: Number(bytes), SCALED: Number(scaled) }
  const make = (wgsl: string, workgroup: number, others: Record<string, number>) =>
    withConstants(defineKernel({ ...declared, bindings, wgsl, workgroup }), { ...constants, ...others })
  if (gpu.forms.kind === 'hardware') {
    const LANES = lanesOf(pieces)
    const kernel = make(GROUP_WGSL + workgroupWgsl, SHARED_WG, { ROWS: SHARED_ROWS, LANES })
    return { kernel, rows: (SHARED_WG / LANES) * SHARED_ROWS }
  }
  const { least, most } = gpu.subgroups ?? { least: 1, most: 0 }
  const PIECES = Math.ceil(pieces / least)
  if (least !== most || PIECES > MOST_PIECES) return { kernel: make(wgsl, WG, { ROWS }), rows: WG * ROWS }
  const rows = Math.min(least, PIECES > FEW_PIECES ? 4 : 8)
  return { kernel: make(subgroupWgsl, least, { ROWS: rows, PIECES }), rows }
}
const lanesOf = (pieces: number) => Math.min(MOST_LANES, Math.max(2, 2 ** Math.ceil(Math.log2(pieces))))

function formOf(gpu: Gpu, pieces: number, bytes: boolean, scaled: boolean): Form {
  const { kind } = gpu.forms
  const size = gpu.subgroups?.least ?? 0
  const shared = kind === 'hardware' ? lanesOf(pieces) : size && Math.ceil(pieces / size)
  const key = `${kind} ${size} ${gpu.subgroups?.most} ${shared} ${bytes} ${scaled}`
  let form = made.get(key)
  if (!form) {
    form = makeForm(gpu, pieces, bytes, scaled)
    made.set(key, form)
  }
  return form
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
  const {
    query,
    vectors,
    scores,
    scale,
    first = 0,
    N,
    E,
    bytes = false,
  } = given('vectorScores', gpu, options)
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
  const form = formOf(gpu, E / piece, bytes, scale !== undefined)
  const views = [query, vectors, scores, ...(scale ? [scale] : [])]
  gpu.launch(form.kernel, { N, first, E: E / piece }, views, Math.ceil(N / form.rows))
}
