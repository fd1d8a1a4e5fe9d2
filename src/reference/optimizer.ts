import { BELOW_ONE, COUNT, expectNumber, NON_NEGATIVE } from '../check.ts'
import { expectArrays, expectIds, given } from './checks.ts'

/** What one AdamW step is told, besides gradients. */
export interface AdamWSettings {
  /** Learning rate. */
  lr: number
  /** Decay of the first moment. */
  beta1: number
  /** Decay of the second moment. */
  beta2: number
  /** Added to the root of the second moment. */
  eps: number
  /** Decoupled weight decay. */
  weightDecay: number
}

/** Weights and their two moments, all of one shape. */
export interface AdamWState {
  /** Weights. */
  w: Float64Array
  /** First moments. */
  m: Float64Array
  /** Second moments. */
  v: Float64Array
}

/**
 * One AdamW step on a dense parameter:
 * w *= 1 - lr weightDecay; m = beta1 m + (1-beta1) g; v = beta2 v + (1-beta2) g²;
 * w -= lr/(1-beta1^step) · m / (√v/√(1-beta2^step) + eps).
 *
 * Source: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101;
 * https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html
 *
 * @param options.w of one shape, as are m, v and g
 * @param options.step counts from 1
 * @returns w, m and v after the step, as new arrays
 */
export function adamwStep(
  options: AdamWSettings & {
    w: ArrayLike<number>
    m: ArrayLike<number>
    v: ArrayLike<number>
    g: ArrayLike<number>
    step: number
  },
): AdamWState {
  const { w, m, v, g, lr, beta1, beta2, eps, weightDecay, step } = given('adamwStep', options)
  expectArrays('adamwStep', { w })
  expectArrays('adamwStep', { m, v, g }, w.length)
  checkSettings('adamwStep', { lr, beta1, beta2, eps, weightDecay })
  expectNumber('adamwStep: step', step, COUNT)
  const next = { w: Float64Array.from(w), m: Float64Array.from(m), v: Float64Array.from(v) }
  const stepSize = lr / (1 - beta1 ** step)
  const rootCorrection2 = Math.sqrt(1 - beta2 ** step)
  for (let i = 0; i < w.length; i++) {
    next.m[i] = beta1 * m[i]! + (1 - beta1) * g[i]!
    next.v[i] = beta2 * v[i]! + (1 - beta2) * g[i]! * g[i]!
    const denominator = Math.sqrt(next.v[i]!) / rootCorrection2 + eps
    next.w[i] = w[i]! * (1 - lr * weightDecay) - (stepSize * next.m[i]!) / denominator
  }
  return next
}

/**
 * One Adam step on a dense parameter: as {@link adamwStep}, with g + weightDecay w for g and no other decay.
 *
 * Source: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980;
 * https://pytorch.org/docs/stable/generated/torch.optim.Adam.html
 *
 * @param options.step counts from 1
 * @returns w, m and v after the step, as new arrays
 */
export function adamStep({ weightDecay, ...given }: Parameters<typeof adamwStep>[0]): AdamWState {
  const g = Float64Array.from(given.g, (value, i) => value + weightDecay * given.w[i]!)
  return adamwStep({ ...given, g, weightDecay: 0 })
}

/** What one step of SGD is told, besides gradients. */
export interface SgdSettings {
  /** Learning rate. */
  lr: number
  /** Decay of the buffer; 0: w -= lr g. */
  momentum: number
  /** The buffer takes 1 - dampening of the gradient; all of it in step 1. */
  dampening: number
  /** Added to the gradient. */
  weightDecay: number
  /** Moves by g + momentum · buffer. */
  nesterov: boolean
}

/** Weights and their momentum buffer, of one shape. */
export interface SgdState {
  /** Weights. */
  w: Float64Array
  /** The momentum buffer, zero before step 1. */
  m: Float64Array
}

/**
 * One step of SGD with momentum on a dense parameter: g += weightDecay w; m = momentum m + (1 - dampening) g, in step 1 m = g;
 * w -= lr m, with nesterov w -= lr (g + momentum m).
 *
 * Source: https://pytorch.org/docs/stable/generated/torch.optim.SGD.html
 *
 * @param options.w of one shape, as are m and g
 * @param options.step counts from 1
 * @returns w and m after the step, as new arrays; m is the gradient where there is no momentum
 */
export function sgdStep({
  w,
  m,
  g,
  lr,
  momentum,
  dampening,
  weightDecay,
  nesterov,
  step,
}: SgdSettings & {
  w: ArrayLike<number>
  m: ArrayLike<number>
  g: ArrayLike<number>
  step: number
}): SgdState {
  const next = { w: Float64Array.from(w), m: Float64Array.from(m) }
  for (let i = 0; i < w.length; i++) {
    const decayed = g[i]! + weightDecay * w[i]!
    const kept = step === 1 || momentum === 0 ? 1 : 1 - dampening
    next.m[i] = momentum * m[i]! + kept * decayed
    next.w[i] = w[i]! - lr * (nesterov ? decayed + momentum * next.m[i]! : next.m[i]!)
  }
  return next
}

/** What one step of Adagrad is told, besides gradients. */
export interface AdagradSettings {
  /** Learning rate. */
  lr: number
  /** Added to the root of the sum. */
  eps: number
  /** Added to the gradient. */
  weightDecay: number
}

/**
 * One step of row-wise Adagrad on rows of H values, all of which have a gradient: g += weightDecay w; sum += mean(g²) over the row;
 * w -= lr / (√sum + eps) · g. With H = 1 this is `torch.optim.Adagrad`, a sum per element.
 *
 * Source: FBGEMM's `EXACT_ROWWISE_ADAGRAD`, https://docs.pytorch.org/FBGEMM/;
 * Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html
 *
 * @param options.w [rows, H], as is g
 * @param options.sum [rows]
 * @returns w and sum after the step, as new arrays
 */
export function rowwiseAdagradStep({
  w,
  sum,
  g,
  H,
  lr,
  eps,
  weightDecay,
}: AdagradSettings & {
  w: ArrayLike<number>
  sum: ArrayLike<number>
  g: ArrayLike<number>
  H: number
}): { w: Float64Array; sum: Float64Array } {
  const next = { w: Float64Array.from(w), sum: Float64Array.from(sum) }
  for (let row = 0; row < sum.length; row++) {
    const decayed = Array.from({ length: H }, (_, c) => g[row * H + c]! + weightDecay * w[row * H + c]!)
    next.sum[row] = sum[row]! + decayed.reduce((total, value) => total + value * value, 0) / H
    const rate = lr / (Math.sqrt(next.sum[row]!) + eps)
    for (const [c, value] of decayed.entries()) next.w[row * H + c] = w[row * H + c]! - rate * value
  }
  return next
}

/**
 * The last step of `history` on the rows of a table that have a gradient, with the same result as {@link adamwStep} on
 * the dense table: a row that sat out some steps first replays them with gradient zero, each with its own settings.
 * Without `grads` the rows only replay, up to and including the last step: what reading the weights needs.
 *
 * @param options.w [V, H], as are m and v
 * @param options.stamp [V], the last step applied to each row, 0 for none
 * @param options.rows [U], unique
 * @param options.grads [U, H], the gradients of `rows` at step history.length
 * @param options.history settings of step 1, 2, …; its length is the current step
 * @returns w, m, v and stamp after the step, as new arrays; rows not named are as before
 */
export function adamwRows(options: {
  w: ArrayLike<number>
  m: ArrayLike<number>
  v: ArrayLike<number>
  stamp: ArrayLike<number>
  rows: ArrayLike<number>
  grads?: ArrayLike<number> | undefined
  H: number
  history: readonly AdamWSettings[]
}): AdamWState & { stamp: Uint32Array } {
  const { w, m, v, stamp, rows, grads, H, history } = given('adamwRows', options)
  expectNumber('adamwRows: H', H, COUNT)
  expectArrays('adamwRows', { w, stamp, rows })
  expectArrays('adamwRows', { m, v }, w.length)
  expectArrays('adamwRows', { stamp }, w.length / H)
  expectIds('adamwRows', 'row', rows, stamp.length)
  if (grads) expectArrays('adamwRows', { grads }, rows.length * H)
  const table = { w: Float64Array.from(w), m: Float64Array.from(m), v: Float64Array.from(v) }
  const stamps = Uint32Array.from(stamp)
  const zero = new Float64Array(H)
  for (let u = 0; u < rows.length; u++) {
    const start = rows[u]! * H
    let row: AdamWState = {
      w: table.w.slice(start, start + H),
      m: table.m.slice(start, start + H),
      v: table.v.slice(start, start + H),
    }
    for (let step = stamps[rows[u]!]! + 1; step <= history.length; step++) {
      const g = grads && step === history.length ? Array.from(zero, (_, h) => grads[u * H + h]!) : zero
      row = adamwStep({ ...row, g, ...history[step - 1]!, step })
    }
    table.w.set(row.w, start)
    table.m.set(row.m, start)
    table.v.set(row.v, start)
    stamps[rows[u]!] = history.length
  }
  return { ...table, stamp: stamps }
}

function checkSettings(op: string, { lr, beta1, beta2, eps, weightDecay }: AdamWSettings): void {
  for (const [name, value] of Object.entries({ lr, eps, weightDecay }))
    expectNumber(`${op}: ${name}`, value, NON_NEGATIVE)
  for (const [name, value] of Object.entries({ beta1, beta2 }))
    expectNumber(`${op}: ${name}`, value, BELOW_ONE)
}
