import * as assert from 'uvu/assert'
import type { ModelConfig } from '../../src/config/index.ts'
import { ConfigError } from '../../src/errors.ts'

export const layer = (hidden_size: number) => ({
  hidden_size,
  dropout_p: 0.1,
  activation_function: 'ReLU',
  normalization_function: 'LayerNorm',
})
export const notebook = (): ModelConfig => ({
  features_config: {
    tokenized_title: { dtype: 'token_id' },
    tokenized_query: { dtype: 'token_id' },
    depth: { dtype: 'numerical' },
    gender: { dtype: 'categorical', vocab_size: 4, embedding_size: 4 },
    age: { dtype: 'categorical', vocab_size: 7, embedding_size: 4 },
    advertiser_id: { dtype: 'categorical', vocab_size: 12193, embedding_size: 32 },
    user_id: { dtype: 'categorical', vocab_size: 202547, embedding_size: 64 },
  },
  mlp_config: [layer(1024), layer(512), layer(256)],
  num_labels: 2,
  pretrained_model_config: { vocab_size: 148598, n_layers: 2, pad_token_id: 148597 },
})

/** The notebook's configuration with one value replaced (or, undefined, removed) at a path. */
export function changed(path: (string | number)[], value: unknown): unknown {
  const config: unknown = notebook()
  let at = config as Record<string | number, unknown>
  for (const key of path.slice(0, -1)) at = at[key] as typeof at
  if (value === undefined) delete at[path.at(-1)!]
  else at[path.at(-1)!] = value
  return config
}

/** Runs `act` and returns the message of the ConfigError it must throw. */
export function refusal(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    assert.instance(error, ConfigError)
    return (error as Error).message
  }
  assert.unreachable('expected a ConfigError')
  return ''
}
