import { ConfigError } from '../../errors.ts'
import type { Gpu, View } from '../../gpu/index.ts'
import { matmul } from '../../kernels/matmul.ts'
import { columnSum } from '../../kernels/reduce.ts'
import { finishSlices, foldLogits, sliceGradient, sliceStats } from '../../kernels/sliced_cross_entropy.ts'
import { changesSoFar } from '../changes.ts'
import { expectBelow, expectTensors, IDS } from '../checks.ts'
import { tableHooks } from '../hooks.ts'
import { untrack } from '../scope.ts'
import type { SlicedGrad, TableParameter, TableSlice } from '../table-parameter.ts'
import { gradTarget, op } from '../tape.ts'
import { empty as makeTensor, type Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { expectShape } from './shapes.ts'
import { addWholeGrad, checkTied } from './tied-linear.ts'

/** Bytes of logits kept for the backward pass at most; of more, each slice is computed again when it is needed. */
const KEPT_BYTES = 96 * 2 ** 20

/** What {@link tiedCrossEntropy} computes. */
export interface TiedCrossEntropy {
  /** [n], the loss of each row. */
  losses: Tensor
  /** [n], 1 where no logit is greater than the label's, else 0; without a gradient. */
  right: Tensor
}

/**
 * Softmax cross-entropy of the logits x tableᵀ + bias against one label a row: the loss of an output projection that shares the embedding
 * table, as `crossEntropy(tiedLinear(x, table, bias), labels)`, but the logits [n, V] exist a slice of the table at a time, and so does the table's
 * gradient where the table is larger than 16 MiB: the optimizer asks for it slice by slice, so tables over several bindings are
 * trained too. x: [n, H]; table: [V, H]; bias: [V]; labels: [n] uint32 below V.
 * Source: Press and Wolf 2017.
 * @throws ArgumentError for what is no tensor or table; ShapeError for shapes that do not fit; DataError naming the position of a label that is no row of
 *   the table; ConfigError for a table of several slices that has hooks
 */
export function tiedCrossEntropy(
  input: Tensor,
  table: TableParameter,
  bias: Tensor,
  labels: Tensor,
): TiedCrossEntropy {
  const [n, V] = checkTied('tiedCrossEntropy', input, table, bias)
  expectTensors('tiedCrossEntropy', { labels }, IDS, { name: 'x', gpu: input.gpu })
  expectShape('tiedCrossEntropy: labels', labels, [n])
  expectBelow('tiedCrossEntropy: label', labels.known, V, `the table has ${V} rows`)
  const x = cast(input, 'f32')
  table.beforeRead?.()
  const { gpu } = x
  const { slices } = table
  let right: Tensor | undefined
  const losses = op(
    'tiedCrossEntropy',
    gpu,
    [x, bias],
    ({ recording, empty, saved }) => {
      if (recording && table.requiresGrad && slices.length > 1 && tableHooks.has(table))
        throw new ConfigError(
          `tiedCrossEntropy: the table of shape [${table.shape}] has a hook, but its gradient is never there as a whole; remove the hook`,
        )
      const source = { gpu, table, x: x.view, bias: bias.view, labels: labels.view, n }
      const out = empty([n])
      right = empty([n])
      const tops = saved([n, 2])
      const keeps = recording && n * V * 4 <= KEPT_BYTES && !table.sliced.length
      const kept = keeps ? slices.map(({ rows }) => saved([n, rows])) : undefined
      fold(source, kept, { losses: out.view, tops: tops.view, right: right.view })
      return {
        output: out,
        backward: dy => {
          const gradient = { ...source, tops: tops.view, dlosses: dy.view, kept }
          for (const [i, z] of (kept ?? []).entries()) differentiate(gradient, slices[i]!, z.view)
          if (table.requiresGrad && slices.length > 1) table.sliced.push(later(gradient))
          return back(x, bias, gradient)
        },
      }
    },
    table.requiresGrad,
    [table],
  )
  return { losses, right: right! }
}

/** What the logits are computed from. */
interface Logits {
  gpu: Gpu
  table: TableParameter
  x: View
  bias: View
  labels: View
  n: number
}

/** What their gradient is computed from. */
interface LogitsGradient extends Logits {
  tops: View
  dlosses: View
  /** The gradient itself, by slice, where there was room for the logits. */
  kept: Tensor[] | undefined
}

const largest = (table: TableParameter) => Math.max(...table.slices.map(({ rows }) => rows))

/** Bytes for the logits of any slice. */
const sliceBytes = ({ table, n }: Logits) => n * largest(table) * 4

/** z = the logits of a slice, without bias. */
function project({ gpu, table, x, n }: Logits, { view, rows }: TableSlice, z: View): void {
  matmul(gpu, { a: x, b: view, c: z, M: n, N: rows, K: table.width, layout: 'NT' })
}

const partOf = ({ bias, labels, n, table }: Logits, { firstRow, rows }: TableSlice, z: View) => ({
  ...{ z, bias, labels, rows: n, V: table.shape[0]! },
  ...{ first: firstRow, C: rows },
})

function fold(
  logits: Logits,
  kept: Tensor[] | undefined,
  results: { losses: View; tops: View; right: View },
): void {
  const { gpu, n, table } = logits
  const slices = table.slices.length
  gpu.scratch(take => {
    const stats = take(sliceStats(n, slices) * 4, 'sums of logits')
    const own = take(n * 4, 'logits of labels')
    const scratch = kept ? undefined : take(sliceBytes(logits), 'logits')
    for (const [i, slice] of table.slices.entries()) {
      const z = scratch ?? kept![i]!.view
      project(logits, slice, z)
      foldLogits(gpu, { ...partOf(logits, slice, z), stats, own, slice: i, slices })
    }
    finishSlices(gpu, { stats, own, ...results, rows: n, slices })
  })
}

/** Puts the gradient of a slice's logits in their place. */
function differentiate(gradient: LogitsGradient, slice: TableSlice, z: View): void {
  const { gpu, tops, dlosses } = gradient
  sliceGradient(gpu, { ...partOf(gradient, slice, z), tops, dlosses })
}

/** The gradient of a slice's logits: what was kept, or computed again in `scratch`. */
function gradientOf(gradient: LogitsGradient, slice: TableSlice, scratch: View | undefined): View {
  const { kept, table } = gradient
  if (!scratch) return kept![table.slices.indexOf(slice)]!.view
  project(gradient, slice, scratch)
  differentiate(gradient, slice, scratch)
  return scratch
}

/** The gradient of a table of one slice, and those of x and bias. */
function back(x: Tensor, bias: Tensor, gradient: LogitsGradient): (Tensor | undefined)[] {
  const { gpu, table, n } = gradient
  const { slices, width: H } = table
  const db = bias.requiresGrad ? makeTensor(gpu, bias.shape) : undefined
  gpu.scratch(take => {
    const sums = db && take(largest(table) * 4)
    const dx = x.requiresGrad ? gradTarget(x) : undefined
    const scratch = gradient.kept ? undefined : take(sliceBytes(gradient), 'logits')
    for (const slice of slices) {
      const { firstRow, rows, view } = slice
      const dz = gradientOf(gradient, slice, scratch)
      if (dx) {
        const accumulate = dx.accumulate || slice !== slices[0]
        matmul(gpu, { a: dz, b: view, c: dx.view, M: n, N: H, K: rows, layout: 'NN', accumulate })
      }
      if (db && sums) {
        columnSum(gpu, { x: dz, out: sums, rows: n, C: rows })
        gpu.copy(sums, { ...db.view, offset: db.view.offset + firstRow * 4 }, rows * 4)
      }
      if (!table.requiresGrad || slices.length > 1) continue
      addWholeGrad(gpu, table, { dlogits: dz, x: gradient.x, n })
    }
  })
  return [undefined, db]
}

function writeRows(
  { gpu, x, n, table }: Logits,
  { rows }: TableSlice,
  dz: View,
  into: View,
  accumulate: boolean,
): void {
  matmul(gpu, { a: dz, b: x, c: into, M: rows, N: table.width, K: n, layout: 'TN', accumulate })
}

/**
 * The gradient of a table of several slices. What it is computed from is kept apart: the tape lets go of it, and optimizers change the bias before
 * the table.
 */
function later(gradient: LogitsGradient): SlicedGrad {
  const { gpu, table, n } = gradient
  const copyOf = (source: View, values: number): View => {
    const copy = gpu.acquire(values * 4)
    gpu.copy(source, copy, values * 4)
    return copy
  }
  const own = {
    x: copyOf(gradient.x, n * table.width),
    // The logits' own gradient, where it is kept, is not computed again.
    ...(!gradient.kept && {
      bias: copyOf(gradient.bias, table.shape[0]!),
      labels: copyOf(gradient.labels, n),
      tops: copyOf(gradient.tops, 2 * n),
      dlosses: copyOf(gradient.dlosses, n),
    }),
  }
  const scratch = gradient.kept ? undefined : gpu.acquire(sliceBytes(gradient), 'logits')
  for (const logits of gradient.kept ?? []) untrack(logits.retain())
  return {
    since: gradient.kept ? undefined : changesSoFar(),
    write(slice, into, accumulate) {
      const all = { ...gradient, ...own }
      writeRows(all, slice, gradientOf(all, slice, scratch), into, accumulate)
    },
    dispose() {
      for (const view of [...Object.values(own), scratch]) if (view) gpu.release(view)
      for (const logits of gradient.kept ?? []) logits.dispose()
    },
  }
}
