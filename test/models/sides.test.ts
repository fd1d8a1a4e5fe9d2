// What a configuration says of two sides, and what is refused of it: before anything is read, by key, value and way out.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConfigError } from '../../src/errors.ts'
import { LateFusionModel, parseConfiguration, parseRunConfig, TwinModel } from '../../src/models/index.ts'

const TEXTS = {
  search: { dtype: 'token_id' },
  title: { dtype: 'token_id', vocab_size: 40 },
  body: { dtype: 'text' },
}
const TABLE = {
  depth: { dtype: 'numerical' },
  city: { dtype: 'categorical', vocab_size: 9, embedding_size: 3 },
}
const COMMON = {
  sides: { query: ['search'], ad: ['body', 'title'] },
  pretrained_model_config: {
    vocab_size: 50,
    dim: 16,
    n_heads: 2,
    n_layers: 1,
    hidden_dim: 8,
    pad_token_id: 49,
  },
}
const TWIN = { architecture: 'TwinModel', features_config: TEXTS, ...COMMON }
const LATE = { architecture: 'LateFusionModel', features_config: { ...TABLE, ...TEXTS }, ...COMMON }

test('each side is one text, its columns in the order of the side', () => {
  const twin = new TwinModel(TWIN as never)
  const [query, ad] = [twin.inputs.query, twin.inputs.ad]
  assert.equal(query, {
    kind: 'text',
    columns: [{ name: 'search', dtype: 'token_id' }],
    rows: 50,
    padTokenId: 49,
    maxPositions: 512,
  })
  assert.equal(ad.columns, [
    { name: 'body', dtype: 'text' },
    { name: 'title', dtype: 'token_id', rows: 40 },
  ])
  assert.equal(Object.keys(twin.inputs), ['query', 'ad', 'labels'])
  const late = new LateFusionModel(LATE as never)
  assert.equal(late.inputs.ad, ad)
  assert.equal(Object.keys(late.inputs), ['query', 'ad', 'categorical', 'numerical', 'labels'])
  assert.equal(late.inputs.categorical.columns, { city: 9 })
})

test('defaults are filled in, and a resolved configuration is read as itself', () => {
  const { config } = new TwinModel(TWIN as never)
  assert.equal(
    [config.tied, config.pooling, config.downscale, config.num_labels],
    [true, 'weighted', null, 2],
  )
  assert.equal(config.crossing, { type: 'cosine' })
  const crossing = (given: unknown, more = {}) =>
    new TwinModel({ ...TWIN, ...more, crossing: given } as never).config.crossing
  const residual = { type: 'residual', hidden_size: 16, merge: 'max', batch_norm: false }
  assert.equal(crossing('residual'), residual)
  assert.equal(crossing('residual', { downscale: 5 }), { ...residual, hidden_size: 5 })
  assert.equal(crossing({ type: 'residual', merge: 'concat' }), {
    ...residual,
    merge: 'concat',
    hidden_size: 32,
  })
  for (const given of [TWIN, { ...TWIN, crossing: 'residual', num_labels: 4 }, LATE]) {
    const once = parseConfiguration(given, 't')
    assert.equal(parseConfiguration(JSON.parse(JSON.stringify(once)), 't'), once)
  }
})

const sides = (query: unknown, ad: unknown) => ({ sides: { query, ad } })
const known = "the text features are 'search', 'title', 'body'"

/** What is changed, and all of what is said of it, of either model. */
const BOTH: [changes: object, said: string | RegExp][] = [
  [{ sides: undefined }, `sides is missing, expected { "query": [columns], "ad": [columns] }; ${known}`],
  [
    { sides: ['search'] },
    `sides: expected { "query": [columns], "ad": [columns] }, got ["search"]; ${known}`,
  ],
  [{ sides: null }, `sides: expected { "query": [columns], "ad": [columns] }, got null; ${known}`],
  [
    { sides: { query: ['search'] } },
    `sides: side 'ad' is missing, expected { "query": [columns], "ad": [columns] }; ${known}`,
  ],
  [
    { sides: { query: ['search'], ad: ['title'], title: ['body'] } },
    "sides: unknown side 'title'; the sides are 'query' and 'ad'",
  ],
  [
    { sides: { query: ['search'], doc: ['title'] } },
    "sides: unknown side 'doc'; the sides are 'query' and 'ad'",
  ],
  [sides(['search'], []), `sides.ad: the side has no text, expected one column or more; ${known}`],
  [
    sides([], ['search', 'title', 'body']),
    `sides.query: the side has no text, expected one column or more; ${known}`,
  ],
  [sides('search', ['title', 'body']), `sides.query: expected a list of columns, got "search"; ${known}`],
  [sides(['search'], ['title', 7]), `sides.ad: expected a list of columns, got ["title",7]; ${known}`],
  [sides(['search'], ['titel', 'body']), `sides.ad: 'titel' is no feature of features_config; ${known}`],
  [
    sides(['search'], ['constructor', 'body']),
    `sides.ad: 'constructor' is no feature of features_config; ${known}`,
  ],
  [
    sides(['search', 'title'], ['title', 'body']),
    "sides.ad: column 'title' is on side 'query' too, expected every column once; name it in one place",
  ],
  [
    sides(['search', 'search'], ['title', 'body']),
    "sides.query: column 'search' is on side 'query' already, expected every column once; name it in one place",
  ],
  [
    sides(['search'], ['title']),
    "sides: text feature 'body' is on no side, expected each on one; add it to 'query' or 'ad', or take it out of features_config",
  ],
  [{ tied: 'yes' }, 'tied: expected true or false, got "yes"'],
  [{ tie: true }, /: unknown key "tie"; allowed keys: .*tied/],
  [{ use_pretrained: true }, 'use_pretrained is true, expected model_name to name a folder with weights'],
  [{ num_labels: 1 }, 'num_labels: expected an integer of at least 2, got 1'],
  [
    { features_config: { search: { dtype: 'token_id', vocab_size: 51 } } },
    "feature 'search' has vocab_size 51, but the encoder's is 50",
  ],
  [{ features_config: TABLE }, "features_config has no feature of dtype 'token_id' or 'text'"],
]

const ONLY_TWIN: typeof BOTH = [
  [
    { features_config: { ...TEXTS, ...TABLE } },
    "features_config.depth: dtype 'numerical', expected 'token_id' or 'text': a TwinModel reads texts alone; leave the feature out, or take a LateFusionModel",
  ],
  [{ pooling: 'mean' }, `pooling: expected one of 'weighted', 'first_token', got "mean"`],
  [
    { downscale: 0 },
    "downscale: expected an integer of at least 1, or null for vectors of the encoder's size, got 0",
  ],
  [
    { downscale: 2.5 },
    "downscale: expected an integer of at least 1, or null for vectors of the encoder's size, got 2.5",
  ],
  [{ crossing: 'dot' }, `crossing: expected 'cosine' or 'residual', got "dot"`],
  [{ crossing: {} }, "crossing: expected 'cosine' or 'residual', got no type"],
  [
    { crossing: ['cosine'] },
    `crossing: expected 'cosine', 'residual', or { "type": "residual", … }, got ["cosine"]`,
  ],
  [
    { crossing: { type: 'cosine', hidden_size: 8 } },
    "crossing: hidden_size is 8, an option of 'residual', and type is 'cosine', which has none; leave it out, or set type to 'residual'",
  ],
  [
    { crossing: { type: 'cosine', batch_norm: true } },
    "crossing: batch_norm is true, an option of 'residual', and type is 'cosine', which has none; leave it out, or set type to 'residual'",
  ],
  [{ crossing: { type: 'cosine', eps: 1 } }, 'crossing: unknown key eps; allowed keys: type'],
  [
    { crossing: { type: 'residual', size: 8 } },
    'crossing: unknown key "size"; allowed keys: type, hidden_size, merge, batch_norm',
  ],
  [
    { crossing: { type: 'residual', hidden_size: 0 } },
    'crossing: hidden_size: expected an integer of at least 1, got 0',
  ],
  [
    { crossing: { type: 'residual', merge: 'min' } },
    `crossing: merge: expected one of 'max', 'concat', got "min"`,
  ],
  [
    { num_labels: 3 },
    "crossing: 'cosine' gives one logit, of two classes, and num_labels is 3, expected 2; 'residual' takes more classes",
  ],
  [{ mlp_config: [] }, /: unknown key "mlp_config"; allowed keys: .*crossing/],
]
const ONLY_LATE: typeof BOTH = [
  [
    { sides: { query: ['search', 'depth'], ad: ['title', 'body'] } },
    "sides.query: feature 'depth' has dtype 'numerical', expected 'token_id' or 'text': other features belong to no side, leave it out",
  ],
  [
    { sides: { query: ['search'], ad: ['title', 'body', 'city'] } },
    "sides.ad: feature 'city' has dtype 'categorical', expected 'token_id' or 'text': other features belong to no side, leave it out",
  ],
  [{ crossing: 'cosine' }, /: unknown key "crossing"; allowed keys: .*mlp_config/],
  [
    { mlp_config: [{ hidden_size: 0 }] },
    'mlp_config[0].hidden_size: expected an integer of at least 1, got 0',
  ],
]

for (const [base, cases] of [
  [TWIN, [...BOTH, ...ONLY_TWIN]],
  [LATE, [...BOTH, ...ONLY_LATE]],
] as const) {
  for (const [changes, said] of cases) {
    test(`${base.architecture} refuses ${JSON.stringify(changes)}`, () => {
      try {
        parseRunConfig({ ...base, ...changes, trainer: {} }, 'run.json')
      } catch (error) {
        assert.instance(error, ConfigError)
        const { message } = error as Error
        if (typeof said === 'string') assert.is(message, `run.json: ${said}`)
        else assert.match(message, said)
        return
      }
      assert.unreachable('it was taken')
    })
  }
}

test.run()
