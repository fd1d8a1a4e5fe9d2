// Models as configurations and programs name them: what a class must have, and what its declaration may say.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Tensor } from '../../src/autograd/index.ts'
import { ConfigError } from '../../src/errors.ts'
import { checkInputs, type Inputs } from '../../src/inputs.ts'
import { Evaluation } from '../../src/metrics/index.ts'
import {
  architectures,
  createModel,
  Model,
  type ModelClass,
  type ModelConfiguration,
  parseConfiguration,
  parseRunConfig,
  registerModel,
  type StandardSchema,
  TextTabularModel,
} from '../../src/models/index.ts'

const INPUTS: Inputs = {
  numbers: { kind: 'floats', columns: ['x'] },
  labels: { kind: 'classes', column: 'y', classes: 2, trainOnly: true },
}

class Small extends Model {
  static readonly architecture: string = 'Small'
  /** Takes `width`, a whole number; default 3. */
  static readonly schema: StandardSchema = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate(value) {
        const { width = 3, ...rest } = value as { width?: unknown }
        const [extra] = Object.keys(rest)
        if (extra) return { issues: [{ message: 'unknown key', path: [extra] }] }
        if (!Number.isInteger(width))
          return { issues: [{ message: 'expected a whole number', path: [{ key: 'width' }] }] }
        return { value: { width } }
      },
    },
  }
  readonly config: ModelConfiguration & { width: number }
  inputs = INPUTS

  constructor(config: ModelConfiguration & { width: number }) {
    super()
    this.config = config
  }
  loss(): Tensor {
    throw new Error('not asked for')
  }
  scores(): Tensor {
    throw new Error('not asked for')
  }
  scoreNames(): string[] {
    return ['score']
  }
  metrics(): Evaluation {
    return new Evaluation(2)
  }
}

function messageOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    assert.instance(error, ConfigError)
    return (error as Error).message
  }
  throw new Error('expected an error')
}

test('a registered class is made from its configuration, read by its own schema', () => {
  assert.match(
    messageOf(() => createModel({ architecture: 'Small' })),
    "architecture: expected one of 'TextTabularModel', 'DistilBertForSequenceClassification'",
  )
  registerModel(Small)
  assert.ok(architectures().includes('Small'))
  const made = createModel<Small>({ architecture: 'Small' })
  assert.instance(made, Small)
  assert.equal(made.config, { width: 3, architecture: 'Small' })
  assert.equal(
    parseRunConfig({ architecture: 'Small', width: 5, trainer: { seed: 3 } }, 'x.json').trainer.seed,
    3,
  )
  assert.is(
    messageOf(() => parseConfiguration({ architecture: 'Small', width: 'wide' }, 'x.json')),
    'x.json: width: expected a whole number',
  )
  assert.is(
    messageOf(() => parseRunConfig({ architecture: 'Small', heigth: 1 }, 'x.json')),
    'x.json: heigth: unknown key',
  )
  assert.match(
    messageOf(() => parseRunConfig({ architecture: 'Small', trainer: { seeds: 1 } }, 'x.json')),
    'x.json: trainer: unknown key "seeds"',
  )
  assert.match(
    messageOf(() => parseRunConfig([], 'x.json')),
    'x.json: expected an object',
  )
})

test('a schema that answers later is refused', () => {
  class Late extends Small {
    static override readonly architecture = 'Late'
    static override readonly schema: StandardSchema = {
      '~standard': { version: 1, vendor: 'test', validate: async value => ({ value }) },
    }
  }
  registerModel(Late)
  assert.match(
    messageOf(() => createModel({ architecture: 'Late' })),
    'the schema answers with a promise',
  )
})

test('what is no model class is refused, saying what it lacks', () => {
  const refused = (what: unknown) => messageOf(() => registerModel(what as ModelClass))
  assert.match(refused(undefined), 'undefined is no model, expected a class that extends Model')
  assert.match(refused({}), 'is no model')
  assert.match(refused(class Other {}), 'Other is no model, expected a class that extends Model')
  const Bare = class extends Small {
    static override readonly architecture = ''
  }
  assert.match(refused(Bare), 'has no static architecture')
  const Unread = class extends Small {
    static override readonly architecture = 'Unread'
    static override readonly schema = undefined as unknown as StandardSchema
  }
  assert.match(refused(Unread), 'has neither a static schema nor parse')
  const Lossless = class extends Small {
    static override readonly architecture = 'Lossless'
  }
  Object.defineProperty(Lossless.prototype, 'loss', { value: undefined })
  Object.defineProperty(Lossless.prototype, 'metrics', { value: 3 })
  assert.is(refused(Lossless), 'Lossless lacks loss, metrics, which every model has')
})

const text = {
  kind: 'text',
  columns: [{ name: 'title', dtype: 'token_id' }],
  rows: 9,
  padTokenId: 0,
  maxPositions: 4,
} as const
const WRONG: [inputs: unknown, message: string][] = [
  [undefined, 'declares no inputs'],
  [{}, 'declares no inputs'],
  [
    { a: { kind: 'pictures', columns: ['x'] } },
    `input 'a' has kind "pictures", expected one of text, ids, floats`,
  ],
  [{ a: undefined }, "input 'a' has kind undefined"],
  [{ size: { kind: 'floats', columns: ['x'] } }, "input 'size' cannot be called that"],
  [{ a: { ...text, columns: [] } }, "input 'a' names no columns"],
  [{ a: { ...text, columns: ['title'] } }, `input 'a' has the column "title", expected { name, dtype }`],
  [{ a: { ...text, columns: [{ name: 'title', dtype: 'words' }] } }, `reads column 'title' as "words"`],
  [{ a: { ...text, rows: 0 } }, "input 'a' has rows 0"],
  [{ a: { ...text, padTokenId: -1 } }, "input 'a' has padTokenId -1"],
  [{ a: { ...text, maxPositions: 2.5 } }, "input 'a' has maxPositions 2.5"],
  [{ a: { kind: 'ids', columns: ['city'] } }, "input 'a' needs columns: an object of table rows by column"],
  [{ a: { kind: 'ids', columns: { city: '50' } } }, "input 'a' has 50 rows for column 'city'"],
  [{ a: { kind: 'floats', columns: 'price' } }, "input 'a' needs columns: a list of names"],
  [{ a: { kind: 'classes', column: 'y', classes: 1 } }, "input 'a' has 1 classes"],
  [{ a: { kind: 'classes', classes: 2 } }, "input 'a' has the column undefined"],
  [
    { a: { kind: 'masked', of: 'b', probability: 0.15, maskTokenId: 1, specialTokenIds: [] } },
    "masks 'b', which is no text",
  ],
  [
    {
      b: { ...text, trainOnly: true },
      a: { kind: 'masked', of: 'b', probability: 0.15, maskTokenId: 1, specialTokenIds: [] },
    },
    "masks 'b', which is for the loss alone",
  ],
  [
    { text, a: { kind: 'masked', of: 'text', probability: 15, maskTokenId: 1, specialTokenIds: [] } },
    "input 'a' has probability 15",
  ],
]

test('what a model declares is checked when it is made', () => {
  for (const [inputs, message] of WRONG) {
    const told = messageOf(() => checkInputs('Small', inputs as Inputs))
    assert.ok(told.includes(message) && told.startsWith('Small'), `${told}\nexpected: ${message}`)
  }
  class Odd extends Small {
    static override readonly architecture = 'Odd'
    override inputs = { a: { kind: 'sounds' } } as unknown as Inputs
  }
  registerModel(Odd)
  assert.match(
    messageOf(() => createModel({ architecture: 'Odd' })),
    `Odd: input 'a' has kind "sounds"`,
  )
})

test('the models of the library declare what their features say', () => {
  const { inputs } = new TextTabularModel({
    features_config: {
      title: { dtype: 'token_id', vocab_size: 7 },
      city: { dtype: 'categorical', vocab_size: 5, embedding_size: 2 },
      query: { dtype: 'token_id' },
      price: { dtype: 'numerical' },
    },
    pretrained_model_config: {
      vocab_size: 9,
      dim: 4,
      n_heads: 1,
      n_layers: 1,
      hidden_dim: 4,
      pad_token_id: 8,
    },
    num_labels: 3,
  })
  assert.equal(inputs, {
    text: {
      kind: 'text',
      columns: [
        { name: 'title', dtype: 'token_id', rows: 7 },
        { name: 'query', dtype: 'token_id' },
      ],
      rows: 9,
      padTokenId: 8,
      maxPositions: 512,
    },
    categorical: { kind: 'ids', columns: { city: 5 } },
    numerical: { kind: 'floats', columns: ['price'] },
    labels: { kind: 'classes', column: 'label', classes: 3, trainOnly: true },
  })
})

test.run()
