// Where the vectors of both sides meet. Users are the user fields and behind them the query.
import {
  clamp,
  concatColumns,
  matmul,
  mul,
  permute,
  reshape,
  rsqrt,
  square,
  sub,
  sum,
  type Tensor,
  transpose,
} from '../../autograd/index.ts'
import type { Similarity } from './config.ts'

/** Numbers a function gives of U and D vectors of E. */
export const WIDTHS: Record<Similarity, (U: number, D: number, E: number) => number> = {
  inner: (U, D) => U * D,
  concat: (U, D, E) => (U + D) * E,
  hadamard: (U, D, E) => U * D * E,
  diff: (U, D, E) => U * D * E,
}

/** Vectors over their lengths; one shorter than 1e-6 counts as that long. */
const unit = (x: Tensor): Tensor => mul(x, rsqrt(clamp(sum(square(x), -1, { keepdim: true }), 1e-12)))

/** users [N, U, E] and docs [N, D, E] of each document: numbers side by side, in the order of `functions`. */
export function similarities(functions: readonly Similarity[], users: Tensor, docs: Tensor): Tensor {
  const [N, U, E] = users.shape as [number, number, number]
  const D = docs.shape[1]!
  const flat = (x: Tensor) => reshape(x, [N, x.size / Math.max(N, 1)])
  // [N, D, E, U]: the order of the reference.
  const pairs = (of: (user: Tensor, doc: Tensor) => Tensor) =>
    of(reshape(permute(users, [0, 2, 1]), [N, 1, E, U]), reshape(docs, [N, D, E, 1]))
  const parts = functions.map(name => {
    if (name === 'inner') return flat(matmul(unit(docs), transpose(unit(users))))
    if (name === 'concat') return concatColumns([flat(docs), flat(users)])
    return flat(pairs(name === 'hadamard' ? mul : sub))
  })
  return parts.length === 1 ? parts[0]! : concatColumns(parts)
}
