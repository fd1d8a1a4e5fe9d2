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
 * BERT-CTR at a size that a phone trains; without memory yet.
 * @param rows what the columns are that the reader chose (`features`), and the rows of the word table (`vocabSize`). The label's column is
 * called `label`.
 * @param padTokenId the token id that stands for no word.
 * @throws ConfigError where the choices make no model.
 */
export function makeModel({ features, vocabSize }: Rows, padTokenId: number): Model {
  if (!Object.values(features).some(({ dtype }) => dtype === 'token_id'))
    throw new ConfigError('no column is a list of token ids, expected at least one: the model reads text')
  const encoder = { dim: 64, n_heads: 4, n_layers: 2, hidden_dim: 128, max_position_embeddings: 64 }
  return createModel({
    features_config: features,
    mlp_config: [layer(64), layer(32)],
    pretrained_model_config: { vocab_size: vocabSize, pad_token_id: padTokenId, ...encoder },
  })
}
