// The names of the methods, and what of a table each needs. Apart from configurations, which layers do without.
import { ConfigError } from '../errors.ts'

/** The ways in which text and table meet, under Multimodal-Toolkit's names. */
export const FUSION_METHODS = [
  'text_only',
  'concat',
  'mlp_on_categorical_then_concat',
  'mlp_on_concatenated_cat_and_numerical_feats_then_concat',
  'individual_mlps_on_cat_and_numerical_feats_then_concat',
  'attention_on_cat_and_numerical_feats',
  'gating_on_cat_and_num_feats_then_sum',
  'weighted_feature_sum_on_transformer_cat_and_numerical_feats',
] as const

/** One of {@link FUSION_METHODS}. */
export type FusionMethod = (typeof FUSION_METHODS)[number]

/**
 * Holds a method against the width of the table's two parts.
 * @throws ConfigError naming the method and what it lacks
 */
export function checkFusionTable(
  method: FusionMethod,
  categorical: number,
  numerical: number,
  where: string,
): void {
  const lacks = (what: string) => {
    throw new ConfigError(
      `${where}: method '${method}' needs ${what}, and there is none; 'text_only' and 'concat' do without`,
    )
  }
  if (method === 'text_only' || method === 'concat') return
  if (method === 'mlp_on_categorical_then_concat' && !categorical) lacks('a categorical feature')
  if (method === 'mlp_on_concatenated_cat_and_numerical_feats_then_concat') {
    if (!categorical) lacks('a categorical feature')
    if (!numerical) lacks('a numerical feature')
  }
  if (!categorical && !numerical) lacks('a categorical or numerical feature')
}
