import type { Tensor } from '../autograd/index.ts'
import {
  type FeatureInputs,
  featureInputs,
  labelInputs,
  namesByDtype,
  parseTabularConfig,
  type ResolvedTabularConfig,
  type TabularConfig,
} from '../config/index.ts'
import type { BatchOf } from '../inputs.ts'
import type { Embedding, Linear, ModuleDict, Sequential } from '../nn/index.ts'
import { type CheckedRows, checkRows } from './check-batch.ts'
import { ClassModel } from './class-model.ts'
import { comparableTable } from './click.ts'
import { tableForward, tableStack } from './tabular.ts'

/** What a {@link TabularModel} reads. */
export type TabularInputs = Omit<FeatureInputs, 'text'>

/**
 * The click model of a table without text: categorical embeddings and numbers side by side, through an MLP to class logits.
 *
 * @example
 * ```ts
 * import { TabularModel } from 'kernelgrad'
 *
 * const model = new TabularModel({
 *   features_config: {
 *     city: { dtype: 'categorical', vocab_size: 50, embedding_size: 8 },
 *     price: { dtype: 'numerical' },
 *   },
 *   mlp_config: [{ hidden_size: 32, activation_function: 'ReLU' }],
 *   label: 'clicked',
 * }).to(gpu, { seed: 1 })
 * ```
 */
export class TabularModel extends ClassModel<TabularInputs, CheckedRows> {
  static readonly architecture = 'TabularModel'
  /** Checks a configuration and fills in the defaults. */
  static readonly parse = parseTabularConfig

  /** The configuration with every default. */
  readonly config: ResolvedTabularConfig
  readonly inputs: TabularInputs
  /** A table per feature that owns one, named `<feature>_embedding`. */
  readonly categorical_embeddings: ModuleDict<Embedding>
  /** undefined where the configuration has none. */
  readonly mlp: Sequential | undefined
  /** To the class logits. */
  readonly head: Linear

  /** @throws ConfigError naming the key that is wrong */
  constructor(config: TabularConfig) {
    super()
    this.config = parseTabularConfig(config, 'the model configuration')
    const { features_config, num_labels } = this.config
    const { categorical, numerical } = featureInputs(features_config)
    this.inputs = { categorical, numerical, ...labelInputs(this.config) }
    const { categorical_embeddings, mlp, head } = tableStack(this.config, num_labels)
    this.categorical_embeddings = categorical_embeddings
    this.mlp = mlp
    this.head = head
  }

  override comparable(): unknown {
    return comparableTable(this.config)
  }

  protected override checked(batch: Partial<BatchOf<TabularInputs>>): CheckedRows {
    const { features_config, num_labels } = this.config
    return checkRows('TabularModel', batch, {
      texts: [],
      categorical: namesByDtype(features_config, 'categorical'),
      numerical: namesByDtype(features_config, 'numerical'),
      classes: num_labels,
    })
  }

  protected override logitsOf(checked: CheckedRows): Tensor {
    return tableForward(this, checked)
  }
}
