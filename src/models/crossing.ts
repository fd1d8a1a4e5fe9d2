// Where the vectors of a query and an ad meet in TwinBERT: by their cosine, or by a residual layer. Lu, Jiao and Zhang 2020.
import * as v from 'valibot'
import {
  add,
  concatColumns,
  cosineSimilarity,
  expand,
  maximum,
  relu,
  reshape,
  type Tensor,
} from '../autograd/index.ts'
import { count, flag, isObject, oneOf, parseStrict, strict } from '../config/schema.ts'
import { ConfigError } from '../errors.ts'
import { BatchNorm1d, Linear, Module } from '../nn/index.ts'

const residualSchema = strict({
  type: v.literal('residual'),
  hidden_size: v.nullish(count, null),
  merge: v.optional(oneOf(['max', 'concat']), 'max'),
  batch_norm: v.optional(flag, false),
})

/** Cosine, for retrieval: an index of nearest neighbours can use it alone. */
export interface CosineCrossing {
  type: 'cosine'
}

/** A residual layer over both vectors, for relevance. */
export interface ResidualCrossing {
  type: 'residual'
  /** Width of the inner layer; that of what enters it unless given. */
  hidden_size: number
  /** 'max', element by element, unless given; 'concat' puts the ad's vector behind the query's. */
  merge: 'max' | 'concat'
  /** Batch normalization behind both dense layers; false unless given. */
  batch_norm: boolean
}

/** How two vectors become logits. */
export type CrossingConfig = CosineCrossing | ResidualCrossing

/**
 * Reads `crossing`: 'cosine', 'residual', or an object whose `type` is one of them.
 * @throws ConfigError naming the key, and for options of the other form
 */
export function parseCrossing(
  json: unknown,
  vectorSize: number,
  classes: number,
  where: string,
): CrossingConfig {
  const given = typeof json === 'string' ? { type: json } : json
  const fail = (what: string): never => {
    throw new ConfigError(`${where}: crossing: ${what}`)
  }
  if (!isObject(given))
    return fail(`expected 'cosine', 'residual', or { "type": "residual", … }, got ${JSON.stringify(json)}`)
  const { type, ...options } = given
  if (type !== 'cosine' && type !== 'residual')
    fail(`expected 'cosine' or 'residual', got ${type === undefined ? 'no type' : JSON.stringify(type)}`)
  if (type === 'residual') {
    const { hidden_size, ...rest } = parseStrict(residualSchema, given, `${where}: crossing`)
    return { ...rest, hidden_size: hidden_size ?? vectorSize * (rest.merge === 'concat' ? 2 : 1) }
  }
  const [option] = Object.keys(options)
  if (option !== undefined) {
    const known = ['hidden_size', 'merge', 'batch_norm'].includes(option)
    if (!known) fail(`unknown key ${option}; allowed keys: type`)
    fail(
      `${option} is ${JSON.stringify(options[option])}, an option of 'residual', and type is 'cosine', which has none; leave it out, or set type to 'residual'`,
    )
  }
  if (classes !== 2)
    fail(
      `'cosine' gives one logit, of two classes, and num_labels is ${classes}, expected 2; 'residual' takes more classes`,
    )
  return { type: 'cosine' }
}

/** What crosses two vectors, and its result before the logits: the cosine [B, 1], or the residual layer's values [B, W]. */
export interface Crossed {
  crossed: Tensor
  /** [B, 1] of the cosine form, else [B, C]. */
  logits: Tensor
}

/** Norms count as at least this, so that an empty text has the cosine 0. */
const LEAST_NORM = 1e-6

/** Both vectors [B, E] to logits. */
export class Crossing extends Module {
  readonly ff_dense0?: Linear
  readonly ff_norm0?: BatchNorm1d
  readonly ff_dense1?: Linear
  readonly ff_norm1?: BatchNorm1d
  readonly logistic: Linear
  readonly #merge: 'cosine' | 'max' | 'concat'

  constructor(config: CrossingConfig, vectorSize: number, classes: number) {
    super()
    if (config.type === 'cosine') {
      this.#merge = 'cosine'
      // The logit starts as the cosine: were the factor below 0, what is near would score low, and stay so.
      const constant = (value: number) => ({ kind: 'constant', value }) as const
      this.logistic = new Linear(1, 1, { weight: constant(1), bias: constant(0) })
      return
    }
    const { hidden_size, merge, batch_norm } = config
    const width = merge === 'concat' ? 2 * vectorSize : vectorSize
    this.#merge = merge
    this.ff_dense0 = new Linear(width, hidden_size)
    if (batch_norm) this.ff_norm0 = new BatchNorm1d(hidden_size)
    this.ff_dense1 = new Linear(hidden_size, width)
    if (batch_norm) this.ff_norm1 = new BatchNorm1d(width)
    this.logistic = new Linear(width, classes)
  }

  /** Of vectors [B, E]; or of one query [1, E], against every ad. */
  forward(query: Tensor, ad: Tensor): Crossed {
    const crossed = this.#cross(query, ad)
    return { crossed, logits: this.logistic.forward(crossed) }
  }

  #cross(query: Tensor, ad: Tensor): Tensor {
    if (this.#merge === 'cosine')
      return reshape(cosineSimilarity(query, ad, -1, LEAST_NORM), [ad.shape[0]!, 1])
    const x = this.#merge === 'max' ? maximum(query, ad) : concatColumns([expand(query, ad.shape), ad])
    const inner = this.ff_dense0!.forward(x)
    const outer = this.ff_dense1!.forward(relu(this.ff_norm0?.forward(inner) ?? inner))
    return relu(add(this.ff_norm1?.forward(outer) ?? outer, x))
  }
}
