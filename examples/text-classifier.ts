// A transformer of one's own over plain text: sentences in a Parquet file, a tokenizer.json, a DistilBERT encoder with random
// weights, its tokens averaged, and a layer that tells three kinds of search query apart.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AdamW,
  type BatchOf,
  collate,
  crossEntropy,
  type Inputs,
  loadDataset,
  meanPool,
  nn,
  noGrad,
  openGpu,
  parseEncoderConfig,
  scope,
  softmax,
  type Tensor,
  tensor,
} from 'kernelgrad'
import { createLoader, loadTokenizer, randomStream, shuffledOrder, writeParquet } from 'kernelgrad/data'
import { metricsOf } from 'kernelgrad/train'

export const TOPICS = ['shoes', 'travel', 'music'] as const
const WORDS = [
  ['boots', 'sneakers', 'leather', 'heels', 'laces', 'running'],
  ['hotel', 'flight', 'beach', 'luggage', 'train', 'island'],
  ['guitar', 'piano', 'concert', 'vinyl', 'lessons', 'choir'],
]
const COMMON = ['cheap', 'best', 'buy', 'near', 'me', 'for', 'with', 'summer', 'sale', 'review']
const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]']

/** What `tokenizers` in Python writes for a BERT tokenizer; a real one comes with the model that it belongs to. */
const tokenizerJson = {
  version: '1.0',
  added_tokens: SPECIAL.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: { type: 'BertNormalizer', lowercase: true, clean_text: true, handle_chinese_chars: true },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [
      { SpecialToken: { id: '[CLS]', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '[SEP]', type_id: 0 } },
    ],
    pair: [],
    special_tokens: {
      '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
      '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
    },
  },
  decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries([...SPECIAL, ...COMMON, ...WORDS.flat()].map((word, id) => [word, id])),
  },
}

const WIDTH = 32
const encoder = parseEncoderConfig(
  {
    vocab_size: SPECIAL.length + COMMON.length + WORDS.flat().length,
    pad_token_id: 0,
    dim: WIDTH,
    n_heads: 4,
    n_layers: 2,
    hidden_dim: 64,
    max_position_embeddings: 16,
  },
  'the encoder',
)

/** What is read of a file. */
const inputs = {
  text: {
    kind: 'text',
    columns: [{ name: 'query', dtype: 'text' }],
    rows: encoder.vocab_size,
    padTokenId: encoder.pad_token_id,
    maxPositions: encoder.max_position_embeddings,
  },
  labels: { kind: 'classes', column: 'topic', classes: TOPICS.length },
} satisfies Inputs

/** DistilBERT, the mean of its tokens, a linear layer: logits [B, 3]. */
class TopicClassifier extends nn.Module {
  readonly encoder = nn.createEncoder(encoder)
  readonly head = new nn.Linear(WIDTH, TOPICS.length)

  forward({ text }: BatchOf<typeof inputs>): Tensor {
    const { hidden, rows } = this.encoder.forward(text)
    return this.head.forward(meanPool(hidden, rows))
  }
}

/** Queries of three to eight words, one or two of which tell the topic; one query in ten has another label. */
function drawQueries(rows: number, seed: number) {
  const random = randomStream(seed)
  const query: string[] = []
  const topic: number[] = []
  const pick = (words: string[]) => words[random.below(words.length)]!
  for (let i = 0; i < rows; i++) {
    const about = random.below(TOPICS.length)
    const words = Array.from({ length: 2 + random.below(5) }, () => pick(COMMON))
    for (let n = 1 + random.below(2); n > 0; n--)
      words.splice(random.below(words.length + 1), 0, pick(WORDS[about]!))
    query.push(words.join(' '))
    topic.push(random.uniform() < 0.1 ? random.below(TOPICS.length) : about)
  }
  return { query, topic }
}

/** Trains for some epochs; returns the test rows' loss and accuracy, and the topic of each query of one's own. */
export async function textClassifier({
  rows = 3000,
  epochs = 3,
  queries = ['Running BOOTS for me', 'best island', 'piano near me'],
} = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'kernelgrad-text-'))
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizerJson))
  const tokenizer = await loadTokenizer(folder, {
    maxPositions: encoder.max_position_embeddings,
    vocabSize: encoder.vocab_size,
  })

  // Strings in, packed token ids out: the tokenizer runs once, while the file is read.
  const load = async (name: string, { query, topic }: { query: string[]; topic: number[] }) => {
    const path = join(folder, `${name}.parquet`)
    await writeParquet(path, [
      { name: 'query', kind: 'string', data: query },
      { name: 'topic', kind: 'int64', data: topic },
    ])
    return loadDataset(path, {
      inputs,
      tokenize: tokenizer.encode,
    })
  }
  const train = await load('train', drawQueries(rows, 1))
  const test = await load('test', drawQueries(1000, 2))
  const own = await load('own', { query: queries, topic: queries.map(() => 0) })
  await rm(folder, { recursive: true })

  const gpu = await openGpu()
  const model = new TopicClassifier().to(gpu, { seed: 1 })
  const optimizer = new AdamW(gpu, [{ params: model.parameters() }], { lr: 2e-3, weightDecay: 0.01 })
  const loader = createLoader(train, inputs, { batchSize: 50 })
  for (let epoch = 0; epoch < epochs; epoch++) {
    for await (const batch of loader.batches(shuffledOrder(rows, 1, epoch))) {
      scope(() => crossEntropy(model.forward(batch), tensor(gpu, batch.labels)).backward())
      optimizer.step({ maxGradNorm: 1 })
      optimizer.zeroGrad()
    }
    await gpu.done() // do not record further ahead of the device than an epoch
  }
  await loader.close()

  model.eval()
  optimizer.synchronize() // rows of the tables that no batch had for some steps catch up
  const probabilities = async (data: typeof test) => {
    const all = Uint32Array.from({ length: data.length }, (_, i) => i)
    const scored = noGrad(() => scope(() => softmax(model.forward(collate(data, all, inputs)))))
    const values = await scored.read()
    scored.dispose()
    return values
  }
  const metrics = metricsOf(test.ids.topic!, await probabilities(test), TOPICS.length)
  const scores = await probabilities(own)
  const topics = queries.map((_, i) => {
    const row = scores.subarray(i * TOPICS.length, (i + 1) * TOPICS.length)
    return TOPICS[row.indexOf(Math.max(...row))]!
  })
  console.log(`${model}`)
  console.log(metrics)
  console.table(queries.map((query, i) => ({ query, topic: topics[i] })))
  optimizer.dispose()
  model.free()
  const { buffers } = gpu.memory
  gpu.close()
  return { metrics, topics, buffers }
}

if (process.argv[1]?.endsWith('text-classifier.js')) await textClassifier()
