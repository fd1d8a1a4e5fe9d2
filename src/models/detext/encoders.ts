// What makes one vector of a text: the first token of a BERT, windows of words with a maximum over time, or an LSTM's last states.
import { cast, concat, concatColumns, type Tensor, tanh } from '../../autograd/index.ts'
import type { ResolvedEncoderConfig } from '../../config/index.ts'
import { encoderShape } from '../../config/index.ts'
import type { PackedTokens } from '../../inputs.ts'
import {
  Conv1dMax,
  createEncoder,
  Dropout,
  Embedding,
  type Encoder,
  Linear,
  LSTM,
  type Module,
  ModuleList,
} from '../../nn/index.ts'
import { keptFirst } from '../towers.ts'
import type { DetextEncoder } from './config.ts'
import { joinTexts, withBoundaries, wordsOf } from './texts.ts'

/** A text field of a batch, and which of its side's text fields it is. */
export interface TextField {
  side: 'query' | 'user' | 'doc'
  index: number
  text: PackedTokens
}

/** The encoder of all text fields. */
export interface TextEncoder {
  /** Size of a vector. */
  units: number
  /** Its modules, by the names that the model gives them. */
  fields: Record<string, Module>
  /** By role, where there is one that starts from pretrained weights and learns at a rate of its own. */
  encoders: Record<string, Encoder>
  /** Vectors of the rows of all fields, one field behind the other, [rows, units]. */
  forward(fields: readonly TextField[]): Tensor
}

/** How many text fields the sides have. */
interface FieldCounts {
  user: number
  doc: number
}

export function makeTextEncoder(
  encoder: DetextEncoder,
  pretrained: ResolvedEncoderConfig | undefined,
  counts: FieldCounts,
): TextEncoder {
  if (encoder.type === 'bert') return bertEncoder(encoder, pretrained!)
  return encoder.type === 'cnn' ? cnnEncoder(encoder, counts) : lstmEncoder(encoder)
}

type Of<T> = Extract<DetextEncoder, { type: T }>

/** All fields in one call. */
function bertEncoder({ units, dropout }: Of<'bert'>, config: ResolvedEncoderConfig): TextEncoder {
  const bert = createEncoder(config)
  const projection = new Linear(encoderShape(config).dim, units)
  const dropped = new Dropout(dropout)
  return {
    units,
    fields: { bert, text_projection: projection, text_dropout: dropped },
    encoders: { bert },
    forward(fields) {
      const { hidden, rows } = bert.forward(joinTexts(fields.map(({ text }) => text)))
      return dropped.forward(tanh(cast(projection.forward(keptFirst(hidden, rows)), 'f32')))
    },
  }
}

/** Word vectors are shared, filters are a field's own. */
function cnnEncoder(
  { vocab_size, word_size, windows, filters }: Of<'cnn'>,
  { user, doc }: FieldCounts,
): TextEncoder {
  // Behind the words: what stands before a text, and behind it.
  const [begin, end] = [vocab_size, vocab_size + 1]
  const boundary = Math.max(1, Math.max(...windows) - 1)
  const embedding = new Embedding(vocab_size + 2, word_size)
  const bank = () => new ModuleList(windows.map(width => new Conv1dMax(word_size, filters, width)))
  const banks = (n: number) => Array.from({ length: n }, bank)
  const own = { query: [bank()], user: banks(user), doc: banks(doc) }
  return {
    units: filters * windows.length,
    fields: {
      embedding,
      query_encoders: own.query[0]!,
      user_encoders: new ModuleList(own.user),
      doc_encoders: new ModuleList(own.doc),
    },
    encoders: {},
    forward(fields) {
      const vectors = fields.map(({ side, index, text }) => {
        const { ids, starts } = withBoundaries(wordsOf(text), boundary, begin, end)
        const words = cast(embedding.forward(ids), 'f32')
        return concatColumns([...own[side][index]!].map(window => window.forward(words, starts)))
      })
      return concat(vectors, 0)
    },
  }
}

/** All fields in one call. */
function lstmEncoder({ vocab_size, word_size, units, layers, bidirectional }: Of<'lstm'>): TextEncoder {
  const embedding = new Embedding(vocab_size, word_size)
  const hidden = bidirectional ? units / 2 : units
  const lstm = new LSTM(word_size, hidden, { numLayers: layers, bidirectional, forgetBias: 1 })
  return {
    units,
    fields: { embedding, lstm },
    encoders: {},
    forward(fields) {
      const { ids, starts } = wordsOf(joinTexts(fields.map(({ text }) => text)))
      return lstm.forward(embedding.forward(ids), starts).last
    },
  }
}
