// What a DetextModel reads, by its configuration, and where its fields stand among the rows of its encoders.
import { encoderShape, type FeatureConfig } from '../../config/index.ts'
import type { Input, Inputs, TextInput } from '../../inputs.ts'
import { rankingInputs } from '../ranking-config.ts'
import type { ResolvedDetextConfig } from './config.ts'

export type Categorical = Extract<FeatureConfig, { dtype: 'categorical' }>

/** What a text is called in a batch. */
export const textName = (side: 'query' | 'user' | 'doc', name: string): string =>
  side === 'query' ? 'query' : `${side}_${name}`

/** Where the rows of each field begin: those of texts first, then those of ids. */
export function startsOf(places: readonly { text: boolean; rows: number }[]): number[] {
  const starts = places.map(() => 0)
  let at = 0
  for (const text of [true, false])
    for (const [i, place] of places.entries()) {
      if (place.text !== text) continue
      starts[i] = at
      at += place.rows
    }
  return starts
}

/** What the model reads: texts by field, all ids, numbers, and what its loss needs. */
export function inputsOf(config: ResolvedDetextConfig): Inputs {
  const { features_config: features, query, user_fields, doc_fields, dense, sparse, shallow } = config
  const { vocab_size, pad_token_id, max_positions } = wordsRead(config)
  const inputs: Record<string, Input> = {}
  const text = (side: 'query' | 'user' | 'doc', name: string) => {
    const feature = features[name]!
    if (feature.dtype !== 'token_id' && feature.dtype !== 'text') return
    const rows = feature.dtype === 'token_id' && feature.vocab_size ? { rows: feature.vocab_size } : {}
    inputs[textName(side, name)] = {
      kind: 'text',
      columns: [{ name, dtype: feature.dtype, ...rows }],
      ...{ rows: vocab_size, padTokenId: pad_token_id, maxPositions: max_positions },
      ...(config.encoder.type === 'bert' ? { keepFirst: true } : {}),
    } satisfies TextInput
  }
  text('query', query)
  for (const name of user_fields) text('user', name)
  for (const name of doc_fields) text('doc', name)
  const ids = new Set(
    [...user_fields, ...doc_fields, ...sparse, ...shallow].filter(
      name => features[name]!.dtype === 'categorical',
    ),
  )
  if (ids.size) {
    const columns = Object.fromEntries(
      [...ids].map(name => [name, (features[name] as Categorical).vocab_size]),
    )
    inputs.ids = { kind: 'ids', columns }
  }
  if (dense.length) inputs.dense = { kind: 'floats', columns: dense, missing: 'nan' }
  if (config.task !== undefined)
    inputs.task = { kind: 'classes', column: config.task, classes: config.task_weights!.length }
  const { lists, labels } = rankingInputs({ ...config, loss: { name: 'pairwise' } })
  inputs.lists = lists
  inputs.labels = labels
  return inputs
}

function wordsRead({ encoder, pretrained_model_config }: ResolvedDetextConfig) {
  if (encoder.type !== 'bert') return encoder
  const { vocab_size, pad_token_id, max_position_embeddings } = encoderShape(pretrained_model_config!)
  return { vocab_size, pad_token_id, max_positions: max_position_embeddings }
}
