// Ranks lists by their table alone: the first pass of several, and what losses and clicks are studied on.
import * as v from 'valibot'
import { concatColumns, type Tensor } from '../autograd/index.ts'
import { withoutBookkeeping } from '../config/encoder.ts'
import {
  type FeatureInputs,
  type FeaturesConfig,
  featureInputs,
  type MlpLayerConfig,
  namesByDtype,
  parseFeaturesConfig,
  type ResolvedMlpLayerConfig,
} from '../config/index.ts'
import { modelEntries } from '../config/model.ts'
import { parseStrict, strict } from '../config/schema.ts'
import type { Columns } from '../data/index.ts'
import { ConfigError } from '../errors.ts'
import type { BatchOf } from '../inputs.ts'
import type { ListEvaluation } from '../metrics/index.ts'
import type { Embedding, Linear, ModuleDict, Sequential } from '../nn/index.ts'
import { checkTable, sizeOf } from './check-batch.ts'
import { Model, type ModelConfiguration } from './model.ts'
import {
  parseRanking,
  type RankingConfig,
  type RankingInputs,
  type ResolvedRanking,
  rankingEntries,
  rankingInputs,
} from './ranking-config.ts'
import { RankingLoss, totalLoss } from './ranking-loss.ts'
import { textFeatures } from './sides.ts'
import { tableForward, tableStack } from './tabular.ts'

const schema = strict({
  architecture: v.optional(v.literal('TabularRanker'), 'TabularRanker'),
  features_config: v.unknown(),
  mlp_config: modelEntries.mlp_config,
  ...rankingEntries,
})

/** What a {@link TabularRanker} is made of. */
export interface TabularRankerConfig extends RankingConfig {
  architecture?: 'TabularRanker'
  /** Numbers and categories; there is no text. */
  features_config: FeaturesConfig
  /** Layers between the features and the score; none when left out, which makes a linear model. */
  mlp_config?: MlpLayerConfig[] | null
}

/** {@link TabularRankerConfig} with every default filled in. */
export interface ResolvedTabularRankerConfig extends ModelConfiguration, ResolvedRanking {
  architecture: 'TabularRanker'
  features_config: FeaturesConfig
  mlp_config: ResolvedMlpLayerConfig[] | null
}

/** What a {@link TabularRanker} reads. */
export type TabularRankerInputs = Pick<FeatureInputs, 'categorical' | 'numerical'> & RankingInputs

/**
 * A score a document from categorical embeddings and numbers through an MLP, trained on lists by any loss over them. `scores` is the score alone: what
 * the loss learns of places (`propensities`, `pair_plus`, `pair_minus`) is left out when ranking.
 *
 * @example
 * ```ts
 * import { TabularRanker } from 'kernelgrad'
 *
 * const ranker = new TabularRanker({
 *   features_config: { price: { dtype: 'numerical' }, city: { dtype: 'categorical', vocab_size: 50, embedding_size: 8 } },
 *   mlp_config: [{ hidden_size: 32, activation_function: 'ReLU' }],
 *   lists: ['session'],
 *   label: 'click',
 *   loss: 'two_tower',
 *   position: { column: 'position', rows: 10 },
 * }).to(gpu, { seed: 1 })
 * ```
 */
export class TabularRanker extends Model<TabularRankerInputs> {
  static readonly architecture = 'TabularRanker'
  /** Checks a configuration and fills in the defaults. */
  static readonly parse = parseTabularRanker

  /** The configuration with every default. */
  readonly config: ResolvedTabularRankerConfig
  readonly inputs: TabularRankerInputs
  /** A table per feature that owns one, named `<feature>_embedding`. */
  readonly categorical_embeddings: ModuleDict<Embedding>
  /** undefined where the configuration has none. */
  readonly mlp: Sequential | undefined
  /** To the score. */
  readonly head: Linear
  /** Logits of looking by place, [places, 1], where the loss learns them. */
  declare readonly propensities: Embedding | undefined
  readonly #loss: RankingLoss

  /** @throws ConfigError naming the key that is wrong */
  constructor(config: TabularRankerConfig) {
    super()
    this.config = parseTabularRanker(config, 'the model configuration')
    const { categorical, numerical } = featureInputs(this.config.features_config)
    this.inputs = { categorical, numerical, ...rankingInputs(this.config) }
    const { categorical_embeddings, mlp, head } = tableStack(this.config, 1)
    this.categorical_embeddings = categorical_embeddings
    this.mlp = mlp
    this.head = head
    this.#loss = new RankingLoss('TabularRanker', this.config)
    Object.assign(this, this.#loss.fields)
  }

  /** [N, 1], the score of each document. */
  override logits(batch: Partial<BatchOf<TabularRankerInputs>>): Tensor {
    const { features_config } = this.config
    const size = sizeOf('TabularRanker', batch)
    const checked = checkTable('TabularRanker', batch, {
      size,
      categorical: namesByDtype(features_config, 'categorical'),
      numerical: namesByDtype(features_config, 'numerical'),
    })
    return tableForward(this, checked)
  }

  /** [1]. @throws ConfigError for a batch without lists, labels or places, where the loss reads them */
  loss(batch: Partial<BatchOf<TabularRankerInputs>>): Tensor {
    return this.lossOf(this.logits(batch), batch)
  }

  /** [1], the loss of scores [N, 1] that are there already. */
  override lossOf(scores: Tensor, batch: Partial<BatchOf<TabularRankerInputs>>): Tensor {
    return totalLoss(this.#loss.parts(scores, batch))
  }

  /** Documents, lists, positive labels or pairs, as the loss has them. */
  override lossCount(batch: Partial<BatchOf<TabularRankerInputs>>): number | 'sum' {
    return this.#loss.count(batch)
  }

  /** [N, 1], the score; beside it, for an evaluation, the logit of a click where that is another. */
  scores(batch: Partial<BatchOf<TabularRankerInputs>>): Tensor {
    const scores = this.logits(batch)
    if (!this.#loss.examines) return scores
    return concatColumns([scores, this.#loss.clickLogits(scores, batch)])
  }

  override checkTraining(where: string, rows: Columns): void {
    this.#loss.checkRows(where, rows)
  }

  /** What the table of places says: chances of a look beside the first place's. */
  override placesLookedAt(): Promise<number[] | undefined> {
    return this.#loss.placesLookedAt()
  }

  scoreNames(): (string | null)[] {
    return this.#loss.examines ? ['score', null] : ['score']
  }

  metrics({ also }: { also?: readonly string[] } = {}): ListEvaluation {
    return this.#loss.metrics(this.scoreNames().length, also)
  }
}

function parseTabularRanker(json: unknown, where: string): ResolvedTabularRankerConfig {
  const raw = parseStrict(schema, withoutBookkeeping(json, ['model_type']), where)
  const { architecture, mlp_config, features_config: given, ...ranking } = raw
  const features_config = parseFeaturesConfig(given, `${where}: features_config`)
  const [text] = textFeatures(features_config)
  if (text !== undefined)
    throw new ConfigError(
      `${where}: features_config: feature '${text}' has dtype '${features_config[text]!.dtype}', expected 'numerical' or 'categorical': TabularRanker reads no text`,
    )
  if (!Object.keys(features_config).length)
    throw new ConfigError(`${where}: features_config has no feature, expected numbers or categories`)
  return {
    architecture,
    features_config,
    mlp_config,
    ...parseRanking(ranking, where, 'listwise_normed'),
  }
}
