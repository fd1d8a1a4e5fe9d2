import type { View } from '../../src/gpu/index.ts'
import {
  OPTIMIZER_BLOCK,
  optimizerByRow,
  optimizerDense,
  optimizerRows,
  type UpdateRule,
} from '../../src/kernels/optimizer.ts'
import { adam, adamw, type Rule, rowwiseAdagrad, type Settings, sgd } from '../../src/optim/index.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

const MISSED = 10 // steps the rows of a table sat out

interface Benched {
  name: string
  rule: UpdateRule & { byRow?: boolean }
  numbers: (step: number) => number[]
  /** Per element: clipping, decay, state, update. */
  ops: number
  /** Of them, what a step without a gradient leaves out. */
  unclipped: number
}

function benched<S extends Settings>(
  name: string,
  rule: Rule<S>,
  options: Partial<S>,
  ops: number,
  unclipped = 0,
): Benched {
  const settings = rule.settings({ ...rule.defaults, ...options })
  const states = rule.states([settings]).length
  return {
    name,
    rule: { ...rule, states },
    numbers: step => rule.numbers(settings, step),
    ops,
    unclipped,
  }
}

const RULES = [
  benched('adamw', adamw, { lr: 1e-4 }, 14, 4),
  benched('adam', adam, { lr: 1e-4, weightDecay: 0.01 }, 15, 4),
  benched('sgd', sgd, { momentum: 0.9 }, 8, 1),
  benched('rowwise_adagrad', rowwiseAdagrad, {}, 8),
]

/** Of every rule: one dense arena, and the rows of a batch in the word table, at once and after ten steps without them. */
export const optimizerRowsOf = (size: Size): Row[] => RULES.flatMap(rule => rowsOf(rule, size))

function rowsOf({ name, rule, numbers, ops, unclipped }: Benched, { arena, V, H, T }: Size): Row[] {
  const history = (steps: number) =>
    Float32Array.from(Array.from({ length: steps }, (_, i) => numbers(i + 1)).flat())
  const rows = Math.min(T, Math.floor(V / 2))
  const n = rows * H
  // Weights and state are read and written, gradients read.
  const bytes = 4 * (3 + 2 * rule.states)
  /** Weights and state of `count` elements; the last state is a sum of squares. */
  const memory = (work: Workspace, count: number, sums = count) => {
    const w = work.floats(count)
    const states = Array.from({ length: rule.states }, (_, k) =>
      k === rule.states - 1 ? work.floats(sums, 0.1, 1) : work.floats(sums),
    )
    return { w, states }
  }
  const outputs = ({ w, states }: { w: View; states: View[] }, count: number, sums = count) => [
    { view: w, n: count },
    ...states.map(view => ({ view, n: sums })),
  ]
  return [
    {
      name: `optimizer.${name}.dense`,
      shape: `${arena}`,
      flops: ops * arena,
      bytes: bytes * arena + 4 * (arena / OPTIMIZER_BLOCK),
      setup(gpu) {
        const work = new Workspace(gpu)
        const blocks = arena / OPTIMIZER_BLOCK
        const g = work.floats(arena)
        const own = memory(work, arena)
        const shared = { history: work.put(history(1)), clip: work.put(Float32Array.of(0.5)), groups: 1 }
        const slots = work.put(new Uint32Array(blocks))
        const job = () => optimizerDense(gpu, rule, { ...own, g, ...shared, slots, blocks, step: 0 })
        return work.job(job, ...outputs(own, arena))
      },
    },
    ...(rule.byRow ? [0] : [0, MISSED]).map(
      (missed): Row => ({
        name: missed ? `optimizer.${name}.rows+catch-up` : `optimizer.${name}.rows`,
        shape: `${rows}x${H} of ${V}${missed ? `, ${missed} steps missed` : ''}`,
        flops: (ops + missed * (ops - unclipped)) * n,
        bytes: rule.byRow ? 12 * n + 16 * rows : bytes * n + 8 * rows,
        setup(gpu) {
          const work = new Workspace(gpu)
          const all = V * H
          const sums = rule.byRow ? V : all
          const own = memory(work, all, sums)
          const shared = {
            history: work.put(history(missed + 1)),
            clip: work.put(Float32Array.of(0.5)),
            groups: 1,
          }
          const every = Math.floor(V / rows)
          const entries = work.put(
            Uint32Array.from({ length: 2 * rows }, (_, i) => (i % 2 ? 0 : (i / 2) * every)),
          )
          const g = work.floats(n)
          const which = { ...own, ...shared, entries, firstEntry: 0, n: rows, width: H, group: 0, g }
          const job = () =>
            rule.byRow
              ? optimizerByRow(gpu, rule, { ...which, step: 0 })
              : optimizerRows(gpu, rule, { ...which, until: missed })
          return work.job(job, ...outputs(own, all, sums))
        },
      }),
    ),
  ]
}
