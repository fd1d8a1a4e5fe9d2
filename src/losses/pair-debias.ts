// Unbiased LambdaMART's pairs (Hu and others, WWW 2019), without trees: clicks and what was not clicked, each with a table of biases by place.
import { expectTensors } from '../autograd/checks.ts'
import {
  add,
  detach,
  div,
  noGrad,
  pow,
  reshape,
  scale,
  segmentSum,
  slice,
  softplus,
  sub,
  sum,
  type Tensor,
} from '../autograd/index.ts'
import { expectNumber, expectOptions, NON_NEGATIVE, PROBABILITY } from '../check.ts'
import { ShapeError } from '../errors.ts'
import { beside, type ClickLists, checkLists, type Lists, pick, positionsOf } from './click-lists.ts'

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
  const { clicked, other } = pairsOf(checked)
  const s = checked.scores
  if (!clicked.length)
    return { loss: sum(scale(s, 0)), tables: { plus: scaled(plus, rate), minus: scaled(minus, rate) } }
  const [above, below] = [clicked, other].map(documents => documents.map(i => positions[i]!)) as [
    Uint32Array,
    Uint32Array,
  ]
  const pair = softplus(sub(pick(s, other), pick(s, clicked)))
  const [up, down] = [pick(plus, above), pick(minus, below)]
  const loss = sum(div(div(pair, up), down))
  const moved = noGrad(() => {
    const held = detach(pair)
    return {
      plus: towards(plus, byPosition(div(held, down), above, P), { rate, p }),
      minus: towards(minus, byPosition(div(held, up), below, P), { rate, p }),
    }
  })
  return { loss, tables: moved }
}

/** Without pairs all losses are 0, and so is what the tables move towards. */
const scaled = (table: Tensor, rate: number) => noGrad(() => scale(table, 1 - rate))

/** All pairs of a clicked document and one of its list that was not. */
function pairsOf({ clicks, starts }: Lists): { clicked: Uint32Array; other: Uint32Array } {
  const [clicked, other]: [number[], number[]] = [[], []]
  for (let list = 0; list + 1 < starts.length; list++)
    for (let i = starts[list]!; i < starts[list + 1]!; i++) {
      if (!clicks[i]) continue
      for (let j = starts[list]!; j < starts[list + 1]!; j++)
        if (!clicks[j]) {
          clicked.push(i)
          other.push(j)
        }
    }
  return { clicked: Uint32Array.from(clicked), other: Uint32Array.from(other) }
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
