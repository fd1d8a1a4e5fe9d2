// What can be wrong with a user's model is told before the first step, by the model's name and the place: to a program that trains it with
// Trainer, and on the command line through --architecture.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseTrainerConfig } from '../../src/config/index.ts'
import { loadDataset } from '../../src/data/index.ts'
import type { Inputs } from '../../src/inputs.ts'
import type { Model } from '../../src/models/index.ts'
import { evaluate, predict, Trainer } from '../../src/train/index.ts'
import {
  byCommand,
  byTrainer,
  changed,
  end,
  file,
  folder,
  gpu,
  INPUTS,
  messageOf,
  moduleOf,
  SETTINGS,
  SOURCE,
  settings,
} from '../support/wrong-models.ts'

/** What is changed, and what both say; two messages where the command line reads a file with the wrong declaration first. */
const MISTAKES: [what: string, from: string, to: string, trainer: string, command?: string][] = [
  [
    'a loss for each row',
    'return crossEntropy(this.logits(batch), tensor(this.gpu, batch.labels))',
    'return this.logits(batch)',
    'Small: loss has shape [8,2], expected [1], such as the mean over the rows',
  ],
  [
    'a loss that is a number',
    'return crossEntropy(this.logits(batch), tensor(this.gpu, batch.labels))',
    'return 0.5',
    'Small: loss gives 0.5, expected a tensor',
  ],
  [
    'a loss that comes later',
    'loss(batch) {',
    'async loss(batch) {',
    'Small: loss gives a promise, expected a tensor',
  ],
  [
    'no returned loss',
    'return crossEntropy(',
    'crossEntropy(',
    'Small: loss gives undefined, expected a tensor',
  ],
  [
    'scores of another width',
    "[null, 'probability']",
    "['a', null, 'probability']",
    'Small: scores have shape [2,2], expected [2,3]: a row each, a column for every name in scoreNames',
  ],
  [
    'the mean of the scores',
    'return softmax(this.logits(batch))',
    'return softmax(this.logits(batch)).mean(0).reshape([1, 2])',
    'Small: scores have shape [1,2], expected [2,2]: a row each, a column for every name in scoreNames',
  ],
  [
    'scores in one line',
    'return softmax(this.logits(batch))',
    'return softmax(this.logits(batch)).reshape([2 * batch.size])',
    'Small: scores have shape [4], expected [2,2]: a row each, a column for every name in scoreNames',
  ],
  [
    'scores read to the host',
    'return softmax(this.logits(batch))',
    'return { scores: softmax(this.logits(batch)) }',
    'Small: scores gives an object with scores, expected a tensor',
  ],
  [
    'scores that come later',
    'scores(batch) {',
    'async scores(batch) {',
    'Small: scores gives a promise, expected a tensor',
  ],
  ['no loss', 'loss(batch) {', 'lost(batch) {', 'Small lacks loss, which every model has'],
  ['no scores', 'scores(batch) {', 'score(batch) {', 'Small lacks scores, which every model has'],
  ['no metrics', 'metrics(options) {', 'metric(options) {', 'Small lacks metrics, which every model has'],
  ['no names', 'scoreNames() {', 'names() {', 'Small lacks scoreNames, which every model has'],
  [
    'no architecture',
    "static architecture = 'Small'",
    '',
    'Small has no static architecture, expected its name in configurations',
  ],
  [
    'no parse',
    "static parse = () => ({ architecture: 'Small' })",
    '',
    'Small has neither a static schema nor parse, expected one to read its configuration',
  ],
  [
    'no metric given',
    'return new Evaluation(2, options)',
    'return',
    'Small: metrics gives undefined, expected a Metric, with add, result and figures, loss among them',
  ],
  [
    'a metric without figures',
    'return new Evaluation(2, options)',
    'return { add() {}, result: () => ({ loss: 1 }) }',
    'Small: metrics gives an object with add, result, expected a Metric, with add, result and figures, loss among them',
  ],
  [
    'a metric without a loss',
    'return new Evaluation(2, options)',
    "return { figures: { first: { better: 'greater' } }, add() {}, result: () => ({ first: 1 }) }",
    'Small: metrics gives an object with figures, add, result, expected a Metric, with add, result and figures, loss among them',
  ],
  [
    'metrics that fail',
    'return new Evaluation(2, options)',
    'return this.nothing.at(0)',
    "Small.metrics fails: Cannot read properties of undefined (reading 'at')",
  ],
  [
    'names as text',
    "[null, 'probability']",
    "'probability'",
    "Small: scoreNames gives 'probability', expected a name or null for each column of scores",
  ],
  [
    'a name twice',
    "[null, 'probability']",
    "['p', 'p']",
    "Small: scoreNames has 'p', which a file of predictions has already; expected another",
  ],
  [
    'the name of a class',
    "[null, 'probability']",
    "[null, 'clicked']",
    "Small: scoreNames has 'clicked', which a file of predictions has already; expected another",
  ],
  [
    'a column twice',
    "columns: ['price']",
    "columns: ['price', 'price']",
    "Small: input 'numbers' names column 'price' twice",
  ],
  [
    'an unknown kind',
    "kind: 'floats'",
    "kind: 'numbers'",
    `Small: input 'numbers' has kind "numbers", expected one of text, ids, floats, classes, list, masked`,
  ],
  [
    'a kind that every object has',
    "kind: 'floats'",
    "kind: 'toString'",
    `Small: input 'numbers' has kind "toString", expected one of text, ids, floats, classes, list, masked`,
  ],
  [
    'an input called as a batch',
    'codes: {',
    'rows: {',
    "Small: input 'rows' cannot be called that: a batch has its own 'rows'",
  ],
  [
    'no text to mask',
    'codes: {',
    "masked: { kind: 'masked', of: 'codes', probability: 0.1, maskTokenId: 1, specialTokenIds: [] },\n    codes: {",
    "Small: input 'masked' masks 'codes', which is no text input",
  ],
  [
    'nothing to mask',
    'codes: {',
    "masked: { kind: 'masked', of: 'toString', probability: 0.1, maskTokenId: 1, specialTokenIds: [] },\n    codes: {",
    "Small: input 'masked' masks 'toString', which is no text input",
  ],
  [
    'a column that is not there',
    "column: 'clicked'",
    "column: 'bought'",
    "Trainer: train: the data has no column 'bought', which Small reads as 'labels'",
    "rows.parquet has no column bought; its columns are city, price, clicked; the model reads it as 'labels'",
  ],
  [
    'a table smaller than the ids',
    'columns: { city: 5 }',
    'columns: { city: 4 }',
    "Trainer: train: column 'city', rows.parquet: row 4: value 4, expected 0 to 3, as Small reads 'codes'",
    'rows.parquet: column city, row 4: value 4, expected 0 to 3',
  ],
  [
    'another architecture in its configuration',
    "config = { architecture: 'Small' }",
    "config = { name: 'Small' }",
    "Small: config.architecture is undefined, expected 'Small': a saved model is found by it",
  ],
  [
    'a parse that fails',
    "static parse = () => ({ architecture: 'Small' })",
    'static parse = json => json.sizes.city',
    "Trainer: model.config: Small.parse fails: Cannot read properties of undefined (reading 'city')",
    "config.json: Small.parse fails: Cannot read properties of undefined (reading 'city')",
  ],
  [
    'a parse that throws what is no error',
    "static parse = () => ({ architecture: 'Small' })",
    "static parse = () => { throw 'sizes' }",
    "Trainer: model.config: Small.parse fails: 'sizes'",
    "config.json: Small.parse fails: 'sizes'",
  ],
  [
    'a parse that throws nothing',
    "static parse = () => ({ architecture: 'Small' })",
    'static parse = () => { throw undefined }',
    'Trainer: model.config: Small.parse fails: undefined',
    'config.json: Small.parse fails: undefined',
  ],
  [
    'a parse that returns nothing',
    "static parse = () => ({ architecture: 'Small' })",
    'static parse = () => {}',
    'Trainer: model.config: Small.parse gives undefined, expected the configuration, an object',
    'config.json: Small.parse gives undefined, expected the configuration, an object',
  ],
  [
    'a parse that answers later',
    "static parse = () => ({ architecture: 'Small' })",
    "static parse = async () => ({ architecture: 'Small' })",
    'Trainer: model.config: Small.parse gives a promise, expected the configuration, an object',
    'config.json: Small.parse gives a promise, expected the configuration, an object',
  ],
  [
    'a parse that forgets the architecture',
    "static parse = () => ({ architecture: 'Small' })",
    'static parse = () => ({})',
    "Trainer: model.config: Small.parse gives the architecture undefined, expected 'Small', as config.json will hold it",
    "config.json: Small.parse gives the architecture undefined, expected 'Small', as config.json will hold it",
  ],
  [
    'a schema that is none',
    "static parse = () => ({ architecture: 'Small' })",
    "static schema = { '~standard': { validate: () => true } }",
    'Trainer: model.config: the schema answers with true, expected { value } or { issues }',
    'config.json: the schema answers with true, expected { value } or { issues }',
  ],
]

for (const [what, from, to, trainer, command = trainer] of MISTAKES)
  test(`told before the first step: ${what}`, async () => {
    const path = moduleOf(changed(from, to))
    const place = (text: string) => text.replaceAll(`${folder}/`, '')
    assert.is(place(await byTrainer(path)), trainer)
    const { code, said } = await byCommand(path)
    assert.is(place(said).replace(/^--architecture model-\d+\.js: /, ''), command)
    assert.ok(code === 1 || code === 2)
  })

test('a constructor that fails is told by the model it makes', async () => {
  const path = moduleOf(changed('city = new nn.Embedding(5, 3)', 'city = new nn.Nothing(5, 3)'))
  const { code, said } = await byCommand(path)
  assert.is(said, 'Small: its constructor fails: nn.Nothing is not a constructor')
  assert.is(code, 1)
})

test('data made by hand: the first token, number or id that the model cannot read, by row', async () => {
  const { default: Class } = await import(pathToFileURL(moduleOf(SOURCE)).href)
  const inputs: Inputs = {
    ...INPUTS,
    words: {
      kind: 'text',
      columns: [{ name: 'title', dtype: 'token_id', rows: 6 }],
      rows: 9,
      padTokenId: 0,
      maxPositions: 4,
    },
  }
  const told = (wrong: { city?: number; price?: number; word?: number }) =>
    messageOf(() => {
      const model: Model = Object.assign(new Class().to(gpu, { seed: 1 }), { inputs })
      const train = {
        files: [
          { name: 'a', rowStart: 0, rows: 2 },
          { name: 'b', rowStart: 2, rows: 2 },
        ],
        length: 4,
        rowStart: 0,
        ids: { city: Uint32Array.of(0, 1, 2, wrong.city ?? 4), clicked: Uint32Array.of(0, 1, 0, 1) },
        floats: { price: Float32Array.of(0, 1, wrong.price ?? 2, 3) },
        lists: {
          title: {
            values: Uint32Array.of(99, 1, 2, wrong.word ?? 5, 3, 99),
            offsets: Uint32Array.of(1, 2, 2, 4, 5),
          },
        },
      }
      return new Trainer({ model, config: settings(), train })
    })
  assert.is(
    await told({ city: 5 }),
    "Trainer: train: column 'city', b: row 1: value 5, expected 0 to 4, as Small reads 'codes'",
  )
  assert.is(
    await told({ price: Number.NaN }),
    "Trainer: train: column 'price', b: row 0: value NaN, expected a finite float32 number, as Small reads 'numbers'",
  )
  assert.is(
    await told({ word: 6 }),
    "Trainer: train: column 'title', b: row 0: value 6, expected 0 to 5, as Small reads 'words'",
  )
  // Values that no row has are not read.
  assert.match(await told({}).catch(String), 'nothing was refused')
})

test('predict and evaluate too say what a model lacks', async () => {
  const { default: Class } = await import(
    pathToFileURL(moduleOf(changed('scores(batch) {', 'score(batch) {'))).href
  )
  const data = await loadDataset(file, { inputs: INPUTS })
  for (const call of [predict, evaluate])
    assert.is(
      await messageOf(() => call(new Class().to(gpu, { seed: 1 }), data)),
      'Small lacks scores, which every model has',
    )
})

test('a class that nobody registered is trained, and resumed by its own class', async () => {
  const { default: Class } = await import(
    pathToFileURL(moduleOf(SOURCE.replaceAll("'Small'", "'Unregistered'"))).href
  )
  const train = await loadDataset(file, { inputs: INPUTS })
  const output = join(folder, 'unregistered')
  const run = async (max_steps: number, to?: string) => {
    const model: Model = new Class().to(gpu, { seed: 1 })
    const config = parseTrainerConfig(
      { ...SETTINGS, max_steps, save_steps: 2, load_best_model_at_end: false },
      'the test',
    )
    const options = { model, config, train, onWarning: () => {} }
    const trainer = new Trainer(to === undefined ? options : { ...options, output: to })
    await trainer.train({ resumeFromCheckpoint: existsSync(output) })
    return [...(await model.stateDict())].map(([name, { data }]) => [name, [...(data as Float32Array)]])
  }
  const whole = await run(4)
  await run(2, output)
  assert.equal(await run(4, output), whole)
})

test.after(end)
test.run()
