// How a model's text and table meet: the methods of Multimodal-Toolkit, their options and what each of them takes.
import * as v from 'valibot'
import { ConfigError } from '../errors.ts'
import { FUSION_METHODS, type FusionMethod } from './fusion-methods.ts'
import { flag, integer, isObject, nonNegative, oneOf, parseStrict, probability, strict } from './schema.ts'

/** How text and table meet. Options that a method does not have are refused. */
export interface FusionConfig {
  /** See `Combiner`. */
  method: FusionMethod
  /** Batch normalization in the MLPs' hidden layers, default true as in the toolkit; not of text_only and concat, which have no MLP. */
  batch_norm?: boolean
  /** By how much each hidden layer is narrower than the one before, 2 or more, default 4; not of text_only and concat. */
  mlp_division?: number
  /** Dropout behind each hidden layer of the MLPs, default 0.1; not of text_only and concat. */
  dropout?: number
  /** Largest share of the text's length that the table may shift it by, default 0.2; of gating_on_cat_and_num_feats_then_sum alone. */
  gating_beta?: number
}

const entries = {
  method: oneOf(FUSION_METHODS),
  batch_norm: v.optional(flag),
  mlp_division: v.optional(integer(2)),
  dropout: v.optional(probability),
  gating_beta: v.optional(nonNegative),
}
const GATING = 'gating_on_cat_and_num_feats_then_sum'

/** The options that a method has, with their defaults. */
const DEFAULTS: Record<FusionMethod, Omit<FusionConfig, 'method'>> = (() => {
  const mlp = { batch_norm: true, mlp_division: 4, dropout: 0.1 }
  const of = (method: FusionMethod) => {
    if (method === 'text_only' || method === 'concat') return {}
    return method === GATING ? { ...mlp, gating_beta: 0.2 } : mlp
  }
  return Object.fromEntries(FUSION_METHODS.map(method => [method, of(method)])) as ReturnType<typeof of> &
    Record<FusionMethod, object>
})()

/**
 * Reads the name of a method, or a method with options, and fills in the defaults.
 * @throws ConfigError naming `where`, the key and what was expected
 */
export function parseFusion(given: unknown, where: string): FusionConfig {
  const raw = parseStrict(strict(entries), isObject(given) ? given : { method: given }, where)
  const defaults = DEFAULTS[raw.method]
  for (const [key, value] of Object.entries(raw)) {
    if (key === 'method' || value === undefined || key in defaults) continue
    const why = key === 'gating_beta' ? `only '${GATING}' gates` : 'it has no MLP'
    throw new ConfigError(`${where}: ${key} is ${value}, which method '${raw.method}' does not take: ${why}`)
  }
  return { ...defaults, ...raw }
}
