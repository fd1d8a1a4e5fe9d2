import { parseTrainingConfig, type ResolvedTrainingConfig, type TrainingConfig } from '../config/index.ts'
import type { SyntheticData } from '../data/index.ts'

const layer = (hidden_size: number) => ({
  hidden_size,
  dropout_p: 0.1,
  activation_function: 'ReLU',
  normalization_function: 'LayerNorm',
})

/** The notebook's two models at a size that a machine without a GPU trains in minutes, by folder name. */
export function demoModels(data: SyntheticData, seed: number): Record<string, ResolvedTrainingConfig> {
  const shared = {
    num_labels: data.numLabels,
    pretrained_model_config: {
      vocab_size: data.vocabSize,
      pad_token_id: data.padTokenId,
      dim: 64,
      n_heads: 4,
      n_layers: 2,
      hidden_dim: 128,
      max_position_embeddings: 64,
    },
  }
  const trainer = {
    // One pass over 24,000 rows is 188 steps of 128 rows: about a minute a model on the software adapter with two cores,
    // and enough for the text alone to reach an AUC of 0.6. More rows teach more than a second pass over the same ones.
    num_train_epochs: 1,
    // The notebook's 1e-4 is for thousands of steps. Twice this rate learns less: text only fell to 0.57.
    encoder_learning_rate: 5e-4,
    seed,
    // One evaluation, at the end: the best of several would be chosen on the rows it is judged by.
    eval_steps: null,
    save_steps: null,
    logging_steps: null,
    load_best_model_at_end: false,
  }
  const models: Record<string, TrainingConfig> = {
    text_tabular: {
      ...shared,
      features_config: data.features_config,
      mlp_config: [layer(64), layer(32)],
      trainer: { ...trainer, learning_rate: 1e-3 },
    },
    text_only: {
      ...shared,
      architecture: 'DistilBertForSequenceClassification',
      features_config: Object.fromEntries(
        Object.entries(data.features_config).filter(([, { dtype }]) => dtype === 'token_id'),
      ),
      // As in the notebook, the baseline trains at one rate and without weight decay.
      trainer: { ...trainer, learning_rate: 5e-4, weight_decay: 0 },
    },
  }
  return Object.fromEntries(
    Object.entries(models).map(([name, config]) => [name, parseTrainingConfig(config, `the demo's ${name}`)]),
  )
}
