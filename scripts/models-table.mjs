// The table of models in docs/models.md against the registry: every model, its inputs by name, and whether it has two sides.
const TEXTS = { title: { dtype: 'token_id' }, search: { dtype: 'token_id' } }
const TABLE = {
  depth: { dtype: 'numerical' },
  city: { dtype: 'categorical', vocab_size: 5, embedding_size: 2 },
}
const ENCODER = { vocab_size: 9, dim: 4, n_heads: 1, n_layers: 1, hidden_dim: 4, max_position_embeddings: 8 }
const SIDES = { query: ['search'], ad: ['title'] }

/** The most that each model takes of texts and table. */
const CONFIGURATIONS = {
  TextTabularModel: { features_config: { ...TEXTS, ...TABLE } },
  TabularModel: { features_config: TABLE },
  DistilBertForSequenceClassification: { features_config: TEXTS },
  DistilBertForMaskedLM: { features_config: TEXTS },
  TwinModel: { features_config: TEXTS, sides: SIDES },
  LateFusionModel: { features_config: { ...TEXTS, ...TABLE }, sides: SIDES },
  CrossEncoder: {
    features_config: TEXTS,
    pretrained_model_config: {
      vocab_size: 9,
      hidden_size: 4,
      num_attention_heads: 1,
      num_hidden_layers: 1,
      intermediate_size: 4,
    },
    mlm: { probability: 0.1 },
    heads: { skip: {}, dwell: {} },
    loss: 'two_tower',
  },
  TabularRanker: { features_config: TABLE, loss: 'two_tower' },
  DetextModel: {
    features_config: { ...TEXTS, ...TABLE },
    query: 'search',
    doc_fields: ['title'],
    encoder: { type: 'bert' },
  },
}
/** Models without an encoder. */
const WITHOUT = ['TabularRanker', 'TabularModel']

/**
 * @param text docs/models.md
 * @param models the room's exports
 * @returns what is wrong, in sentences
 */
export function modelsTableFaults(text, { architectures, createModel, isTwoSided }) {
  const rows = new Map(
    [...text.matchAll(/^\| `(\w+)`\s*\|[^|]*\|([^|]*)\|([^|]*)\|/gm)].map(([, name, reads, sides]) => [
      name,
      { reads: [...reads.matchAll(/`(\w+)`/g)].map(([, input]) => input), sides: sides.trim() === 'yes' },
    ]),
  )
  const faults = []
  for (const name of architectures()) {
    const row = rows.get(name)
    const configuration = CONFIGURATIONS[name]
    if (!configuration) faults.push(`CONFIGURATIONS of scripts/models-table.mjs lacks ${name}`)
    if (!row) faults.push(`the table has no row for ${name}`)
    if (!row || !configuration) continue
    const model = createModel({
      architecture: name,
      ...(WITHOUT.includes(name) ? {} : { pretrained_model_config: ENCODER }),
      ...configuration,
    })
    const inputs = Object.keys(model.inputs)
    if (inputs.join() !== row.reads.join())
      faults.push(`${name} reads ${inputs.join(', ')}, the table says ${row.reads.join(', ') || 'nothing'}`)
    if (isTwoSided(model) !== row.sides)
      faults.push(`${name} ${isTwoSided(model) ? 'has' : 'has no'} two sides, the table says otherwise`)
  }
  for (const name of rows.keys())
    if (!architectures().includes(name)) faults.push(`there is no model ${name}`)
  return faults
}
