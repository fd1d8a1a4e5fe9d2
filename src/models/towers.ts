// Towers of two-sided models: from the tokens of one text to a vector. Both sides share one, or each has its own.
import {
  cast,
  firstToken,
  meanPool,
  mul,
  type PackedRows,
  type Parameter,
  reshape,
  segmentSoftmax,
  segmentSum,
  type Tensor,
  tanh,
  tensor,
  where,
} from '../autograd/index.ts'
import { isNotId } from '../autograd/ops/pointwise.ts'
import { shown } from '../check.ts'
import { encoderShape, type ResolvedEncoderConfig } from '../config/index.ts'
import { ConfigError } from '../errors.ts'
import type { PackedTokens } from '../inputs.ts'
import { createEncoder, type Encoder, encoderInit, Linear, Module } from '../nn/index.ts'
import { SIDES, type SideName } from './two-sided.ts'

/** How the tokens of a text become one vector [H]; 'mean' has no weights of its own. */
export type Pooling = 'weighted' | 'first_token' | 'mean'

/** The parts of one side, under the names that their parameters have; tied sides share them. */
export interface Tower {
  bert: Encoder
  pooler?: WeightedPooler
  downscale?: Linear
}

/**
 * Average of a text's kept tokens with weights softmax(w·h): [T, H] to [B, H] float32, zeros for a text without any. A bias of the scores
 * would cancel, so there is none. Lu, Jiao and Zhang 2020, TwinBERT.
 */
class WeightedPooler extends Module {
  readonly weighting: Linear<false>

  constructor(hidden: number, std: number) {
    super()
    this.weighting = new Linear(hidden, 1, { weight: encoderInit(std).weight, bias: false })
  }

  forward(hidden: Tensor, { keyMask, cuSeqlens }: PackedRows): Tensor {
    const x = cast(hidden, 'f32')
    let scores = cast(this.weighting.forward(hidden), 'f32')
    const every = keyMask.known && !keyMask.known.includes(0)
    const kept = every ? undefined : reshape(isNotId(keyMask, 0), [keyMask.size, 1])
    // A finite score: a text of masked tokens alone would be 0 / 0 with -infinity, in the gradient too.
    if (kept) scores = where(kept, scores, -1e30)
    const shares = segmentSoftmax(scores, cuSeqlens)
    return segmentSum(mul(x, kept ? mul(shares, kept) : shares), cuSeqlens)
  }

  protected override reprName(): string {
    return 'Pooler'
  }
}

/** How towers are made. */
export interface TowerOptions {
  encoder: ResolvedEncoderConfig
  pooling: Pooling
  /** E, the size of the vectors, which end in tanh; null: H, the encoder's, as they are pooled. */
  downscale: number | null
}

function makeTower({ encoder, pooling, downscale }: TowerOptions): Tower {
  const { dim, initializer_range } = encoderShape(encoder)
  return {
    bert: createEncoder(encoder),
    ...(pooling === 'weighted' ? { pooler: new WeightedPooler(dim, initializer_range) } : {}),
    ...(downscale === null ? {} : { downscale: new Linear(dim, downscale) }),
  }
}

/** The towers of both sides, and their parts under the names that a model gives them: `bert`, or `query_bert` and `ad_bert`. */
export class Towers {
  readonly fields: Record<string, Module>
  /** The encoders, by the same names. */
  readonly encoders: Record<string, Encoder>
  readonly #sides: Record<SideName, Tower>
  readonly #prefixes: Record<SideName, string>
  readonly #pooling: Pooling

  constructor(tied: boolean, options: TowerOptions) {
    const query = makeTower(options)
    this.#sides = { query, ad: tied ? query : makeTower(options) }
    this.#prefixes = tied ? { query: '', ad: '' } : { query: 'query_', ad: 'ad_' }
    this.#pooling = options.pooling
    this.fields = Object.fromEntries(SIDES.flatMap(side => this.#parts(side)))
    this.encoders = Object.fromEntries(
      SIDES.map(side => [`${this.#prefixes[side]}bert`, this.#sides[side].bert]),
    )
  }

  /** [B, E] float32. */
  encode(side: SideName, text: PackedTokens): Tensor {
    const { bert, pooler, downscale } = this.#sides[expectSide(side)]
    const { hidden, rows } = bert.forward(text)
    const pooled = pooler ? pooler.forward(hidden, rows) : this.#pool(hidden, rows)
    return downscale ? tanh(cast(downscale.forward(pooled), 'f32')) : pooled
  }

  #pool(hidden: Tensor, rows: PackedRows): Tensor {
    return this.#pooling === 'mean' ? meanPool(hidden, rows) : keptFirst(hidden, rows)
  }

  /** The parameters that a side's vectors follow from. */
  parameters(side: SideName): [string, Parameter][] {
    return this.#parts(expectSide(side)).flatMap(([name, part]) =>
      [...part.namedParameters()].map(([own, parameter]): [string, Parameter] => [
        `${name}.${own}`,
        parameter,
      ]),
    )
  }

  #parts(side: SideName): [string, Module][] {
    return Object.entries(this.#sides[side]).map(([name, part]) => [
      this.#prefixes[side] + name,
      part as Module,
    ])
  }
}

/** The first token of each text, zero where none of its tokens is kept. A text keeps its first position, even a masked one. */
export function keptFirst(hidden: Tensor, rows: PackedRows): Tensor {
  const first = firstToken(hidden, rows)
  const keyMask = rows.keyMask.known!
  const starts = rows.cuSeqlens.known!
  const B = starts.length - 1
  const kept = Float32Array.from({ length: B }, (_, b) =>
    keyMask.subarray(starts[b], starts[b + 1]).includes(1) ? 1 : 0,
  )
  return kept.includes(0) ? mul(first, tensor(hidden.gpu, kept, [B, 1])) : first
}

function expectSide(side: unknown): SideName {
  if (!SIDES.includes(side as SideName))
    throw new ConfigError(`side is ${shown(side)}, expected 'query' or 'ad'`)
  return side as SideName
}
