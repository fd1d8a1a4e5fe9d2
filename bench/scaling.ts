// Whether cost follows what is used: the encoder's time the kept tokens, not the padded length; the optimizer's the rows
// a batch touches, not the vocabulary. Points are timed in turns, so that whatever else the machine does falls on all.
import { backward, scope, tensor } from '../src/autograd/index.ts'
import { formatTable } from '../src/cli/table.ts'
import { parseEncoderConfig } from '../src/config/index.ts'
import { collatePadded } from '../src/data/index.ts'
import type { Gpu } from '../src/gpu/index.ts'
import { createEncoder, Embedding } from '../src/nn/index.ts'
import { AdamW } from '../src/optim/index.ts'
import { generator, median, permutation } from '../src/testing/index.ts'
import { digits } from './report.ts'

/** One point of a curve. */
export interface ScalingResult {
  name: 'encoder.keptShare' | 'optimizer.vocabulary' | 'optimizer.vocabulary+spread'
  shape: string
  /** Median milliseconds, and the least. */
  ms: number
  best: number
  /** The kept share at constant padded length, or the rows of the table at constant touched rows. */
  at: number
  /** How much less (or, below 0, more) time than twice the share, or than the smallest table; null at the first. */
  cut: number | null
  /** What `cut` must reach: at least 0.45 for a halved share, at least -0.1 for more rows. */
  goal: number | null
}

interface Point {
  at: number
  shape: string
  /** Does the work once and returns its milliseconds. */
  run: () => Promise<number>
  dispose: () => void
}

const MISSED = 8 // sets of rows that take turns: a row sits out the seven steps in between

/** Forward and backward of the encoder over B rows padded to S, every row keeping the same share of its positions. */
function encoderPoints(gpu: Gpu, quick: boolean): Point[] {
  const [B, S, dim, n_heads, vocab_size] = quick ? [4, 8, 16, 2, 50] : [64, 24, 768, 12, 2000]
  const pad = vocab_size - 1
  const config = { vocab_size, pad_token_id: pad, dim, hidden_dim: 4 * dim, n_heads, n_layers: 2 }
  const encoder = createEncoder(
    parseEncoderConfig({ ...config, dropout: 0, attention_dropout: 0 }, 'the benchmark’s encoder'),
  ).to(gpu, { seed: 1 })
  const next = generator(1)
  const shares = [1, 0.5, 0.25]
  return shares.map((share, i): Point => {
    const kept = share * S
    const row = () => Array.from({ length: S }, (_, s) => (s < kept ? Math.floor(next() * pad) : pad))
    const inputIds = Array.from({ length: B }, row)
    const { text } = collatePadded({ inputIds }, { padTokenId: pad })
    const seed = Float32Array.from({ length: B * kept * dim }, () => 2 * next() - 1)
    return {
      at: share,
      shape: `B ${B} padded to ${S}, ${B * kept} tokens, H ${dim}`,
      async run() {
        await gpu.done()
        const started = performance.now()
        scope(() => {
          const { hidden } = encoder.forward(text!)
          backward(hidden, { seed: tensor(gpu, seed, hidden.shape) })
        })
        encoder.zeroGrad()
        await gpu.done()
        return performance.now() - started
      },
      dispose: () => (i === shares.length - 1 ? encoder.free() : undefined),
    }
  })
}

/**
 * One AdamW step of a table: the touched rows catch up on the steps they sat out, then take this one. The touched rows are
 * the same in every table, or `spread` over all of it: then each lies on a memory page of its own once the table is large,
 * and what the machine's address translation costs comes on top.
 */
function optimizerPoints(gpu: Gpu, quick: boolean, spread: boolean): Point[] {
  const [touched, width] = quick ? [10, 8] : [1024, 64]
  const sizes = quick ? [200, 2000] : [1e4, 1e5, 1e6]
  return sizes.map((V): Point => {
    const module = new Embedding(V, width).to(gpu, { seed: 1 })
    const table = module.weight
    const optimizer = new AdamW(gpu, [{ params: [table] }], { lr: 1e-3 })
    const next = generator(1)
    const order = permutation(spread ? V : sizes[0]!, next)
    const sets = Array.from({ length: MISSED }, (_, i) =>
      Uint32Array.from(order.slice(i * touched, (i + 1) * touched)).sort(),
    )
    const data = Float32Array.from({ length: touched * width }, () => 2 * next() - 1)
    const values = tensor(gpu, data, [touched, width])
    return {
      at: V,
      shape: `${touched} of ${V} rows x ${width}, ${MISSED - 1} steps missed`,
      async run() {
        await gpu.done()
        const started = performance.now()
        for (const rows of sets) {
          table.beforeRead!(rows)
          table.grads = [{ rows, values }]
          optimizer.step()
          table.grads = []
        }
        await gpu.done()
        return (performance.now() - started) / sets.length
      },
      dispose() {
        values.dispose()
        optimizer.dispose()
        module.free()
      },
    }
  })
}

async function timePoints(
  name: ScalingResult['name'],
  points: Point[],
  { samples, goal }: { samples: number; goal: number | null },
): Promise<ScalingResult[]> {
  const times: number[][] = points.map(() => [])
  for (let sample = -2; sample < samples; sample++)
    for (const [i, point] of points.entries()) {
      const ms = await point.run()
      if (sample >= 0) times[i]!.push(ms)
    }
  for (const point of points) point.dispose()
  return points.map(({ at, shape }, i) => {
    const ms = median(times[i]!)
    const base = name === 'encoder.keptShare' ? i - 1 : 0
    const cut = i ? 1 - ms / median(times[base]!) : null
    return { name, shape, ms, best: Math.min(...times[i]!), at, cut, goal: i ? goal : null }
  })
}

export const SCALING_NAMES: readonly ScalingResult['name'][] = [
  'encoder.keptShare',
  'optimizer.vocabulary',
  'optimizer.vocabulary+spread',
]

export async function benchScaling(gpu: Gpu, { quick = false, filter = '' } = {}): Promise<ScalingResult[]> {
  const results: ScalingResult[] = []
  const curves = [
    { name: 'encoder.keptShare' as const, points: encoderPoints, samples: 5, goal: 0.45 },
    {
      name: 'optimizer.vocabulary' as const,
      points: (gpu: Gpu, quick: boolean) => optimizerPoints(gpu, quick, false),
      samples: 25,
      goal: -0.1,
    },
    {
      name: 'optimizer.vocabulary+spread' as const,
      points: (gpu: Gpu, quick: boolean) => optimizerPoints(gpu, quick, true),
      samples: 25,
      goal: null,
    },
  ]
  for (const { name, points, samples, goal } of curves) {
    if (!name.includes(filter)) continue
    results.push(...(await timePoints(name, points(gpu, quick), { samples: quick ? 1 : samples, goal })))
    gpu.pool.trim()
  }
  return results
}

export function scalingTable(results: ScalingResult[]): string {
  const percent = (share: number | null) => (share === null ? '' : `${(100 * share).toFixed(0)}%`)
  const cells = results.map(({ name, shape, at, ms, best, cut, goal }) => [
    name,
    `${at}`,
    shape,
    digits(ms),
    digits(best),
    percent(cut),
    goal === null ? '' : `${percent(goal)}${cut! < goal ? ' missed' : ''}`,
  ])
  return formatTable(['name', 'at', 'shape', 'ms', 'best', 'less by', 'goal'], cells)
}
