// Models of two texts that meet late. What one side gives does not hang on the other, so it is computed once and kept.

import { expectTensors } from '../autograd/checks.ts'
import type { Ids, Parameter, Tensor } from '../autograd/index.ts'
import { ShapeError } from '../errors.ts'
import type { PackedTokens, TextInput } from '../inputs.ts'
import type { Model } from './model.ts'

/** The two texts: what is asked, and what is offered. */
export type SideName = 'query' | 'ad'

/** Both sides, in the order that their vectors are joined in. */
export const SIDES: readonly SideName[] = ['query', 'ad']

/** Columns of the text features by side, each on exactly one; several of a side are one text, in the order given. */
export type Sides = Record<SideName, string[]>

/** What a two-sided model reads beside its texts, as a batch of `collate` has it; a model without a table reads none. */
export interface TableBatch {
  /** Ids [B] by column. */
  categorical?: Record<string, Ids>
  /** Numbers [B] by column. */
  numerical?: Record<string, ArrayLike<number>>
}

/**
 * What a two-sided model has beside a {@link Model}'s own: the vector of each side by itself, and what is made of two vectors.
 *
 * @example
 * ```ts
 * import { type CollatedTokens, collate, createModel, isTwoSided, noGrad } from 'kernelgrad'
 *
 * const twin = createModel({
 *   architecture: 'TwinModel',
 *   features_config: { search: { dtype: 'token_id' }, title: { dtype: 'token_id' } },
 *   sides: { query: ['search'], ad: ['title'] },
 *   pretrained_model_config: { vocab_size: 1000, dim: 64, n_heads: 4, n_layers: 2, hidden_dim: 128 },
 * }).to(gpu)
 * if (isTwoSided(twin)) {
 *   const { query, ad } = collate(dataset, [0, 5, 7], twin.sides)
 *   const ads = noGrad(() => twin.encode('ad', ad)).keep() // [3, twin.vectorSize]
 *   console.log(await twin.cross(twin.encode('query', query), ads).read())
 * }
 * ```
 */
export interface TwoSided {
  /** What each side alone reads: one text. */
  readonly sides: Record<SideName, TextInput>
  /** Numbers of a side's vector. */
  readonly vectorSize: number
  /** True where vectors lie in [-1, 1], a tanh ends the tower: then a byte a number holds them. */
  readonly bytes: boolean
  /**
   * [B, vectorSize] float32, the vectors of a side's texts. A text without a kept token is zero before any down-scaling, and passes no
   * gradient to the encoder. Dropout as the model's mode has it: `eval()` for vectors that are kept.
   */
  encode(side: SideName, text: PackedTokens): Tensor
  /**
   * [B, C] logits of vectors; or [B, 1] of a model whose single logit z means the probability sigmoid(z). Of one query vector, [1, vectorSize],
   * and the vectors of B ads each ad is scored against it.
   * @param batch the rows' other inputs, for models that read a table.
   */
  cross(query: Tensor, ad: Tensor, batch?: TableBatch): Tensor
  /** The parameters that a side's vectors follow from, by name, in order. Tied towers have the same ones. */
  tower(side: SideName): [name: string, parameter: Parameter][]
}

/** Whether a model keeps its two texts apart. */
export function isTwoSided<M extends Pick<Model, 'inputs'>>(model: M): model is M & TwoSided {
  const { sides, encode, cross, tower } = Object(model) as Partial<TwoSided>
  return typeof sides === 'object' && [encode, cross, tower].every(method => typeof method === 'function')
}

/** @throws ArgumentError for what is no tensor; ShapeError for vectors of another size, or other numbers of rows */
export function expectVectors(where: string, size: number, query: Tensor, ad: Tensor): void {
  expectTensors(where, { query, ad }, ['f32'])
  for (const [name, { shape }] of Object.entries({ query, ad }))
    if (shape.length !== 2 || shape[1] !== size)
      throw new ShapeError(`${where}: ${name} has shape [${shape.join(', ')}], expected [B, ${size}]`)
  const [queries, ads] = [query.shape[0]!, ad.shape[0]!]
  if (queries !== ads && queries !== 1)
    throw new ShapeError(
      `${where}: query has ${queries} rows and ad ${ads}, expected as many, or one query for all ads`,
    )
}
