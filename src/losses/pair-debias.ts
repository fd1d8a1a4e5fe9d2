// Unbiased LambdaMART's pairs (Hu and others, WWW 2019), without trees: clicks and what was not clicked, each with a table of biases by place.
import { expectTensors } from '../autograd/checks.ts'
import {
  add,
  detach,
  div,
  mul,
  neg,
  noGrad,
  pow,
  reciprocal,
  reshape,
  scale,
  segmentPairs,
  segmentSum,
  slice,
  sum,
  type Tensor,
  where,
} from '../autograd/index.ts'
import { expectNumber, expectOptions, NON_NEGATIVE, PROBABILITY } from '../check.ts'
import { ShapeError } from '../errors.ts'
import { type ClickLists, checkLists, type Lists, positionsOf } from './click-lists.ts'
import { beside, pick } from './lists.ts'

/** How the tables move. */
export interface PairDebiasOptions {
  /** Share of the way towards the batch's biases, default 0.05. */
  rate?: number
  /** Norm that holds biases back, default 1: the quotient of losses is taken to the power 1 / (p + 1). */
  p?: number
}

/** Biases of places, [positions] float32, 1 at the first. */
export interface PairTables {
  /** Of clicks. */
  plus: Tensor
  /** Of what was not clicked. */
  minus: Tensor
}

/**
 * Over clicked i and not clicked j of a list, the sum of softplus(-(s_i - s_j)) / (plus[i] minus[j]) by their places, all lists added up. The tables
 * are constants of the gradient and then move: plus[k] becomes (1 - rate) plus[k] + rate (L_k / L_0)^(1 / (p + 1)), where L_k is the sum of the losses
 * over minus[j] of clicks at place k; minus alike.
 * @returns the loss, [1], and the tables as they are from now on: new tensors, without a gradient.
 * @throws DataError for a position outside the tables, or a list without documents; ShapeError for tables of other shapes.
 *
 * @example
 * ```ts
 * import { losses, tensor } from 'kernelgrad'
 *
 * const ones = () => tensor(gpu, new Float32Array(10).fill(1), [10])
 * const lists = { clicks: [0, 1, 0], positions: [0, 1, 2], starts: [0, 3] }
 * const scores = tensor(gpu, Float32Array.of(0.5, -0.2, 1), [3], { requiresGrad: true })
 * const { loss, tables } = losses.pairDebias(scores, lists, { plus: ones(), minus: ones() })
 * loss.backward()
 * console.log(await tables.plus.read())
 * ```
 */
export function pairDebias(
  scores: Tensor,
  lists: ClickLists,
  tables: PairTables,
  options: PairDebiasOptions = {},
): { loss: Tensor; tables: PairTables } {
  const checked = checkLists('pairDebias', lists, scores)
  expectOptions('pairDebias: tables', tables, ['plus', 'minus'])
  expectTensors('pairDebias', { scores, plus: tables.plus, minus: tables.minus })
  expectOptions('pairDebias: options', options, ['rate', 'p'])
  const { rate = 0.05, p = 1 } = options
  expectNumber('pairDebias: rate', rate, PROBABILITY)
  expectNumber('pairDebias: p', p, NON_NEGATIVE)
  const [plus, minus] = [detach(tables.plus), detach(tables.minus)]
  const P = plus.size
  for (const [name, table] of Object.entries({ plus, minus }))
    if (table.shape.length !== 1 || table.size !== P || P === 0)
      throw new ShapeError(
        `pairDebias: ${name} has shape [${table.shape}], expected [positions], as plus [${plus.shape}]`,
      )
  const positions = positionsOf(checked, P)
  const { scores: s, starts } = checked
  if (!hasPairs(checked))
    return { loss: sum(scale(s, 0)), tables: { plus: scaled(plus, rate), minus: scaled(minus, rate) } }
  const clicks = beside(s, checked.clicks)
  const others = beside(
    s,
    checked.clicks.map(click => 1 - click),
  )
  // Only of what is on its side of a pair: a place's bias may be 0.
  const up = where(clicks, reciprocal(pick(plus, positions)), 0)
  const down = where(others, reciprocal(pick(minus, positions)), 0)
  const ofClicks = segmentPairs(s, clicks, starts, { kind: 'weights', values: down })
  const loss = sum(mul(ofClicks, up))
  const moved = noGrad(() => {
    // The same pairs, by the document that belongs below.
    const ofOthers = segmentPairs(neg(detach(s)), others, starts, { kind: 'weights', values: up })
    return {
      plus: towards(plus, byPosition(detach(ofClicks), positions, P), { rate, p }),
      minus: towards(minus, byPosition(ofOthers, positions, P), { rate, p }),
    }
  })
  return { loss, tables: moved }
}

/** Without pairs all losses are 0, and so is what the tables move towards. */
const scaled = (table: Tensor, rate: number) => noGrad(() => scale(table, 1 - rate))

/** Whether a list has a clicked document and another. */
function hasPairs({ clicks, starts }: Lists): boolean {
  for (let list = 0; list + 1 < starts.length; list++) {
    const own = clicks.subarray(starts[list], starts[list + 1])
    if (own.includes(1) && own.includes(0)) return true
  }
  return false
}

/** [P], the sums of values by position. */
function byPosition(values: Tensor, positions: Uint32Array, P: number): Tensor {
  const order = Uint32Array.from(positions.keys()).sort((a, b) => positions[a]! - positions[b]! || a - b)
  const starts = new Uint32Array(P + 1)
  for (const position of positions) starts[position + 1]!++
  for (let k = 0; k < P; k++) starts[k + 1]! += starts[k]!
  return segmentSum(pick(values, order), starts)
}

/** Keeps the quotient finite where nothing was lost at the first place. */
const LEAST = 1e-8

function towards(table: Tensor, losses: Tensor, { rate, p }: { rate: number; p: number }): Tensor {
  const first = add(slice(losses, 0, { start: 0, end: 1 }), beside(losses, Float32Array.of(LEAST)))
  const quotient = pow(div(losses, first), 1 / (p + 1))
  return add(scale(table, 1 - rate), scale(reshape(quotient, table.shape), rate))
}
