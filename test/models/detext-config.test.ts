// Configurations of DeText that cannot be.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as kg from '../../src/index.ts'
import { type DetextConfig, DetextModel } from '../../src/models/index.ts'
import { BERT, CONFIG, WORDS } from '../support/detext.ts'

test('a configuration that cannot be is refused before anything is read', () => {
  const { features_config } = CONFIG
  const cnn = (more: object) => ({ encoder: { type: 'cnn', ...WORDS, ...more } })
  const lstm = (more: object) => ({ encoder: { type: 'lstm', ...WORDS, ...more } })
  for (const [change, message] of [
    [{ query: 'serach' }, /query: 'serach' is no feature of features_config; .*did you mean 'search'\?/],
    [{ query: undefined }, /query/],
    [{ query: 'price' }, /query: feature 'price' has dtype 'numerical', expected 'token_id' or 'text'/],
    [{ user_fields: ['profil', 'member'] }, /user_fields: 'profil' is no feature/],
    [{ doc_fields: ['titel'] }, /doc_fields: 'titel' is no feature .*did you mean 'title'\?/],
    [{ doc_fields: [] }, /doc_fields: expected a field of the documents or more/],
    [{ doc_fields: ['title', 'seller', 'body', 'title'] }, /doc_fields: 'title' is named twice/],
    [{ doc_fields: ['title', 'seller', 'body', 'profile'] }, /doc_fields: 'profile' is in user_fields too/],
    [{ dense: ['price', 'ages'] }, /dense: 'ages' is no feature/],
    [{ dense: ['price'], dense_mean: [1], dense_std: [1] }, /feature 'age' plays no part/],
    [{ sparse: ['shop', 'seler'] }, /sparse: 'seler' is no feature/],
    [
      { sparse: ['shop', 'city', 'seller'] },
      /sparse: 'seller' has embedding_size 4 and 'shop' 2, expected one size/,
    ],
    [
      { shallow: ['place', 'price'] },
      /shallow: feature 'price' has dtype 'numerical', expected 'categorical'/,
    ],
    [{ dense_mean: [1] }, /dense_mean has 1 values, expected 2, one for each of dense: price, age/],
    [{ dense_std: [1, 2, 3] }, /dense_std has 3 values, expected 2/],
    [{ dense_std: [1, 0] }, /dense_std\[1\]: expected a number above 0, got 0/],
    [{ dense_mean: [1, Number.NaN] }, /dense_mean\[1\]: expected a number that is finite, got NaN/],
    [cnn({ windows: [2, 10] }), /windows has one of 10 words, expected at most max_positions, 9/],
    [cnn({ windows: [2, 2] }), /windows names 2 twice/],
    [cnn({ windows: [0] }), /windows\[0\]: expected an integer of at least 1, got 0/],
    [cnn({ windows: [] }), /windows: expected a window or more/],
    [cnn({ windows: [1.5] }), /windows\[0\]/],
    [cnn({ filters: -3 }), /filters: expected an integer of at least 1, got -3/],
    [cnn({ units: 4 }), /units/],
    [cnn({ pad_token_id: 21 }), /pad_token_id is 21, expected an id below vocab_size, 21/],
    [cnn({ vocab_size: undefined }), /vocab_size/],
    [lstm({ units: 7, bidirectional: true }), /units is 7, expected an even number/],
    [lstm({ layers: 0 }), /layers: expected an integer of at least 1/],
    [{ encoder: { type: 'gru' } }, /encoder: type: expected one of 'bert', 'cnn', 'lstm', got "gru"/],
    [{ encoder: 'cnn' }, /encoder: expected an object with a type/],
    [{ encoder: { type: 'bert' } }, /pretrained_model_config is missing/],
    [
      { pretrained_model_config: BERT },
      /pretrained_model_config is of encoder 'bert', and the encoder is 'cnn'/,
    ],
    [
      { similarities: ['inner', 'outer'] },
      /similarities\[1\]: expected one of 'inner', 'concat', 'hadamard', 'diff', got "outer"/,
    ],
    [{ similarities: ['inner', 'inner'] }, /similarities names 'inner' twice/],
    [{ similarities: [] }, /similarities: expected a function or more/],
    [{ hidden_sizes: [6, 0] }, /hidden_sizes\[1\]: expected an integer of at least 1, got 0/],
    [{ task: 'task' }, /task is 'task', expected task_weights beside it/],
    [{ task_weights: [1, 2] }, /task_weights is given and task is not/],
    [{ task: 'task', task_weights: [1] }, /task_weights has 1 values, expected two tasks or more/],
    [{ task: 'task', task_weights: [1, -1] }, /task_weights\[1\]: expected a number above 0, got -1/],
    [{ lists: [] }, /lists: columns: expected a column or more/],
    [{ lists: ['a', 'a'] }, /lists: column 'a' is named twice/],
    [{ lists: { columns: ['a'], longer: 'cut' } }, /longer is 'cut', expected longest beside it/],
    [{ loss: 'lambda' }, /loss: expected one of 'pointwise', 'pairwise', 'softmax', got "lambda"/],
    [{ hiden_sizes: [4] }, /hiden_sizes/],
    [
      { features_config: { ...features_config, extra: { dtype: 'token_id' } } },
      /feature 'extra' plays no part: name it in query/,
    ],
    [
      { features_config: { ...features_config, title: { dtype: 'token_id', vocab_size: 30 } } },
      /feature 'title' has vocab_size 30, but the encoder's is 21/,
    ],
    [{ label: 'search' }, /label: 'search' is a feature/],
    [{ task: 'title', task_weights: [1, 1] }, /task: 'title' is a feature/],
  ] as [object, RegExp][]) {
    const json = JSON.stringify(change)
    assert.throws(
      () => new DetextModel({ ...CONFIG, ...change } as DetextConfig),
      (error: unknown) => {
        assert.instance(error, kg.ConfigError, json)
        assert.match((error as Error).message, message)
        return true
      },
    )
  }
})

test.run()
