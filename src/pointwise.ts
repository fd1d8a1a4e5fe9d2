// What is computed element by element, one row each: the formula and its derivatives in WGSL, and the formula in float64. The
// kernel (wgsl/pointwise.wgsl), the oracle and the operations are all made of this table. In WGSL the operands are a, b, c, numbers
// among the options params.p and params.q, y the result and dy its gradient; E is f32 or vec4f. NaN and infinities are PyTorch's.

/** A function of single elements. */
export interface PointwiseRow {
  /** In WGSL, over a, b, c. */
  readonly f: string
  /** In WGSL, the gradient of each operand, over dy and what f takes; absent where there is none to pass on. */
  readonly df?: readonly (string | undefined)[]
  /** In float64: of as many operands as f has, then p and q. */
  readonly oracle: (...operands: number[]) => number
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))
// NaN wins; of equal ones either.
const maximum = (a: number, b: number) => Math.max(a, b)
const minimum = (a: number, b: number) => Math.min(a, b)

/** Functions of one operand, and of numbers p and q where they name them. */
export const UNARY = {
  neg: { f: '-a', df: ['-dy'], oracle: a => -a },
  abs: { f: 'abs(a)', df: ['dy * sign(a)'], oracle: Math.abs },
  square: { f: 'a * a', df: ['2.0 * dy * a'], oracle: a => a * a },
  exp: { f: 'exponential(a)', df: ['dy * y'], oracle: Math.exp },
  expm1: { f: 'expm1(a)', df: ['dy * (y + 1.0)'], oracle: Math.expm1 },
  log: { f: 'ln(a)', df: ['dy / a'], oracle: Math.log },
  log1p: { f: 'log1p(a)', df: ['dy / (1.0 + a)'], oracle: Math.log1p },
  sqrt: { f: 'or_nan(sqrt(a), a)', df: ['dy / (2.0 * y)'], oracle: Math.sqrt },
  rsqrt: { f: 'or_nan(1.0 / sqrt(a), a)', df: ['-0.5 * dy * y * y * y'], oracle: a => 1 / Math.sqrt(a) },
  reciprocal: { f: '1.0 / a', df: ['-dy * y * y'], oracle: a => 1 / a },
  sigmoid: { f: 'sigmoid(a)', df: ['dy * y * (1.0 - y)'], oracle: sigmoid },
  tanh: { f: 'hyperbolic_tangent(a)', df: ['dy * (1.0 - y * y)'], oracle: Math.tanh },
  silu: {
    f: 'a * sigmoid(a)',
    df: ['dy * sigmoid(a) * (1.0 + a * (1.0 - sigmoid(a)))'],
    oracle: a => a * sigmoid(a),
  },
  softplus: { f: 'softplus(a)', df: ['dy * sigmoid(a)'], oracle: softplus },
  leakyRelu: {
    f: 'select(a * params.p, a, a > E())',
    df: ['select(dy * params.p, dy, a > E())'],
    oracle: (a, p) => (a > 0 ? a : a * p!),
  },
  elu: {
    f: 'select(params.p * expm1(a), a, a > E())',
    df: ['select(dy * (y + params.p), dy, a > E())'],
    oracle: (a, p) => (a > 0 ? a : p! * Math.expm1(a)),
  },
  clamp: {
    f: 'or_nan(min(max(a, E(params.p)), E(params.q)), a)',
    df: ['select(E(), dy, (a >= E(params.p)) & (a <= E(params.q)))'],
    oracle: (a, p, q) => minimum(maximum(a, p!), q!),
  },
} satisfies Record<string, PointwiseRow>

/** Functions of two operands; either may be a number. */
export const BINARY = {
  add: { f: 'a + b', df: ['dy', 'dy'], oracle: (a, b) => a + b! },
  sub: { f: 'a - b', df: ['dy', '-dy'], oracle: (a, b) => a - b! },
  mul: { f: 'a * b', df: ['dy * b', 'dy * a'], oracle: (a, b) => a * b! },
  div: { f: 'a / b', df: ['dy / b', '-dy * ((a / b) / b)'], oracle: (a, b) => a / b! },
  maximum: {
    f: 'select(b, a, (a > b) | is_nan(a))',
    df: [
      'select(select(dy, 0.5 * dy, a == b), E(), a < b)',
      'select(select(dy, 0.5 * dy, a == b), E(), a > b)',
    ],
    oracle: (a, b) => maximum(a, b!),
  },
  minimum: {
    f: 'select(b, a, (a < b) | is_nan(a))',
    df: [
      'select(select(dy, 0.5 * dy, a == b), E(), a > b)',
      'select(select(dy, 0.5 * dy, a == b), E(), a < b)',
    ],
    oracle: (a, b) => minimum(a, b!),
  },
  pow: {
    f: 'power(a, b)',
    df: [
      'select(dy * (b * power(a, b - 1.0)), E(), b == E())',
      'select(dy * (y * ln(a)), E(), (a == E()) & (b >= E()))',
    ],
    // C's powf, and PyTorch, have 1 where JavaScript has NaN.
    oracle: (a, b) => (a === 1 || (a === -1 && Math.abs(b!) === Number.POSITIVE_INFINITY) ? 1 : a ** b!),
  },
  eq: { f: 'flag((a == b) & !is_nan(a) & !is_nan(b))', oracle: (a, b) => Number(a === b) },
  ne: { f: 'flag((a != b) | is_nan(a) | is_nan(b))', oracle: (a, b) => Number(a !== b) },
  lt: { f: 'flag((a < b) & !is_nan(a) & !is_nan(b))', oracle: (a, b) => Number(a < b!) },
  le: { f: 'flag((a <= b) & !is_nan(a) & !is_nan(b))', oracle: (a, b) => Number(a <= b!) },
  gt: { f: 'flag((a > b) & !is_nan(a) & !is_nan(b))', oracle: (a, b) => Number(a > b!) },
  ge: { f: 'flag((a >= b) & !is_nan(a) & !is_nan(b))', oracle: (a, b) => Number(a >= b!) },
  // Losses of single elements: a is the score, b the target.
  bceWithLogits: {
    f: '(1.0 - b) * a + softplus(-a)',
    df: ['dy * (sigmoid(a) - b)', '-dy * a'],
    oracle: (a, b) => (1 - b!) * a + softplus(-a),
  },
  klDiv: {
    f: 'select(b * (ln(b) - a), E(), b == E())',
    df: ['-dy * b', 'select(dy * (ln(b) + 1.0 - a), E(), b == E())'],
    oracle: (a, b) => (b === 0 ? 0 : b! * (Math.log(b!) - a)),
  },
  klDivLog: {
    f: 'exponential(b) * (b - a)',
    df: ['-dy * exponential(b)', 'dy * exponential(b) * (b - a + 1.0)'],
    oracle: (a, b) => Math.exp(b!) * (b! - a),
  },
  // The same and what probabilities a exceed those of b by, which adds up to nothing over a row: so no term is below 0, and those of near
  // distributions do not cancel.
  klDivExcess: {
    f: 'select(exponential(b) * (b - a) + (exponential(a) - exponential(b)), exponential(b) * ((b - a) + expm1(a - b)), abs(a - b) < E(1.0))',
    df: [
      'dy * select(exponential(a) - exponential(b), exponential(b) * expm1(a - b), abs(a - b) < E(1.0))',
      'dy * exponential(b) * (b - a)',
    ],
    oracle: (a, b) => Math.exp(b!) * (b! - a) + (Math.exp(a) - Math.exp(b!)),
  },
} satisfies Record<string, PointwiseRow>

/** Functions of three operands. */
export const TERNARY = {
  where: {
    f: 'select(c, b, a != E())',
    df: [undefined, 'select(E(), dy, a != E())', 'select(dy, E(), a != E())'],
    oracle: (a, b, c) => (a === 0 ? c! : b!),
  },
  // c exp(a - b): the weight of values a in their log-sum-exp b, and 0 where all of them are -infinity.
  expBelow: {
    f: 'c * exponential(a - select(b, E(), b <= -infinite()))',
    oracle: (a, b, c) => c! * Math.exp(a - (b === Number.NEGATIVE_INFINITY ? 0 : b!)),
  },
  // a's share of b, of c; of nothing, nothing.
  shareOf: {
    f: 'select(c * a / b, E(), b == E())',
    oracle: (a, b, c) => (b === 0 ? 0 : (c! * a) / b!),
  },
} satisfies Record<string, PointwiseRow>

const rows: Record<string, PointwiseRow & { operands: number }> = {}
for (const [operands, table] of [UNARY, BINARY, TERNARY].entries())
  for (const [name, row] of Object.entries(table)) rows[name] = { ...row, operands: operands + 1 }

/** The names of the rows. */
export type PointwiseName = keyof typeof UNARY | keyof typeof BINARY | keyof typeof TERNARY

/** A row by its name, with the number of its operands. */
export const pointwiseRow = (name: PointwiseName): PointwiseRow & { operands: number } => rows[name]!
