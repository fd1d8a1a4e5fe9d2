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
export function adamwStep({
  w,
  m,
  v,
  g,
  lr,
  beta1,
  beta2,
  eps,
  weightDecay,
  step,
}: AdamWSettings & {
  w: ArrayLike<number>
  m: ArrayLike<number>
  v: ArrayLike<number>
  g: ArrayLike<number>
  step: number
}): AdamWState {
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
export function adamwRows({
  w,
  m,
  v,
  stamp,
  rows,
  grads,
  H,
  history,
}: {
  w: ArrayLike<number>
  m: ArrayLike<number>
  v: ArrayLike<number>
  stamp: ArrayLike<number>
  rows: ArrayLike<number>
  grads?: ArrayLike<number> | undefined
  H: number
  history: readonly AdamWSettings[]
}): AdamWState & { stamp: Uint32Array } {
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
