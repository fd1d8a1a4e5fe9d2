import {
  embedding,
  type Init,
  mul,
  segmentMax,
  segmentMean,
  segmentSum,
  TableParameter,
  type Tensor,
  tensor,
  unsqueeze,
  where,
} from '../autograd/index.ts'
import { ConfigError, ShapeError } from '../errors.ts'
import { Module } from './module.ts'

/** What is made of the rows of a bag. */
export type BagMode = 'sum' | 'mean' | 'max'

/**
 * Rows of a table taken together by bags of ids: `torch.nn.EmbeddingBag`. Ids of `paddingIdx` are left out. A bag without ids is zeros.
 */
export class EmbeddingBag extends Module {
  /** [rows, width]. */
  readonly weight: TableParameter
  /** What is made of a bag's rows. */
  readonly mode: BagMode

  /** Rows start from N(0, 1) unless `init` says otherwise. `mode` is 'mean' unless given, as in PyTorch. */
  constructor(
    rows: number,
    width: number,
    { mode = 'mean', paddingIdx, init }: { mode?: BagMode; paddingIdx?: number; init?: Init } = {},
  ) {
    super()
    if (!['sum', 'mean', 'max'].includes(mode))
      throw new ConfigError(`EmbeddingBag: mode is '${mode}', expected 'sum', 'mean' or 'max'`)
    this.weight = new TableParameter([rows, width], init ?? { kind: 'normal', std: 1 }, paddingIdx)
    this.mode = mode
  }

  /**
   * ids [n] in bags by `starts` [B + 1], to [B, width]: bag b is the ids starts[b] to starts[b + 1] - 1, as in PyTorch with
   * `include_last_offset`. With mode 'sum', each row can count by a weight, [n].
   */
  forward(ids: Uint32Array, starts: Uint32Array, weights?: Tensor): Tensor {
    if (weights && this.mode !== 'sum')
      throw new ConfigError(`EmbeddingBag: weights are for mode 'sum', this one has '${this.mode}'`)
    if (weights && weights.shape.join() !== `${ids.length}`)
      throw new ShapeError(
        `EmbeddingBag: weights have shape [${weights.shape.join(', ')}], expected [${ids.length}]`,
      )
    if (starts.at(-1) !== ids.length)
      throw new ShapeError(
        `EmbeddingBag: starts ends at ${starts.at(-1)}, expected ${ids.length}, the number of ids`,
      )
    // A padding row is zero, which a sum does not notice; means and maxima do.
    const bags = this.mode === 'sum' ? { ids, starts } : withoutPadding(ids, starts, this.weight.paddingIdx)
    const rows = embedding(this.weight, bags.ids)
    if (this.mode === 'sum') return segmentSum(weights ? mul(rows, unsqueeze(weights, 1)) : rows, starts)
    if (this.mode === 'mean') return segmentMean(rows, bags.starts)
    const filled = Uint32Array.from(bags.starts.subarray(1), (end, b) => Number(end > bags.starts[b]!))
    const largest = segmentMax(rows, bags.starts)
    return filled.includes(0) ? where(tensor(this.gpu, filled, [filled.length, 1]), largest, 0) : largest
  }

  protected override extraRepr(): string {
    return `${this.weight.shape[0]}, ${this.weight.shape[1]}, mode='${this.mode}'`
  }
}

function withoutPadding(ids: Uint32Array, starts: Uint32Array, paddingIdx: number | undefined) {
  if (paddingIdx === undefined || !ids.includes(paddingIdx)) return { ids, starts }
  let [kept, at] = [0, 0]
  const moved = Uint32Array.from(starts, start => {
    for (; at < start; at++) if (ids[at] !== paddingIdx) kept++
    return kept
  })
  return { ids: ids.filter(id => id !== paddingIdx), starts: moved }
}
