// The model that the page trains. Another is put in here, and nowhere else: whatever makeModel returns is trained, resumed, scored and
// handed out, by what it declares.
import { ConfigError, createModel, type Model } from 'kernelgrad'
import type { Rows } from './rows.ts'

const layer = (hidden_size: number) => ({
  hidden_size,
  dropout_p: 0.1,
  activation_function: 'ReLU',
  normalization_function: 'LayerNorm',
})

/**
 * BERT-CTR at a size that a phone trains, or of a table without text its table part alone; without memory yet.
 * @param rows what the columns are (`features`), the rows of the word table (`vocabSize`), the label's values (`classes`). The label's
 * column is called `label`.
 * @param padTokenId the token id that stands for no word.
 * @throws ConfigError where the choices make no model.
 */
export function makeModel(rows: Rows, padTokenId: number): Model {
  const { features, vocabSize, classes, weighted, maxTokens = 0 } = rows
  if (!Object.keys(features).length)
    throw new ConfigError('no column is left for the model to read, expected at least one besides the label')
  const table = {
    features_config: features,
    mlp_config: [layer(64), layer(32)],
    num_labels: classes.length,
    ...(weighted ? { weight_column: 'weight' } : {}),
  }
  if (!Object.values(features).some(({ dtype }) => dtype === 'token_id'))
    return createModel({ architecture: 'TabularModel', ...table })
  const encoder = { dim: 64, n_heads: 4, n_layers: 2, hidden_dim: 128 }
  const max_position_embeddings = Math.max(64, maxTokens)
  return createModel({
    ...table,
    pretrained_model_config: {
      vocab_size: vocabSize,
      pad_token_id: padTokenId,
      max_position_embeddings,
      ...encoder,
    },
  })
}
