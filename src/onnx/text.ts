// A text as the graphs read it, and the encoders over it. Here rows are packed; there they are padded, and what is masked counts for nothing:
// positions are counted with the masked tokens in either.

import { encoderShape } from '../config/index.ts'
import type { TextInput } from '../inputs.ts'
import { type BertModel, DistilBertModel, type Encoder, type Linear } from '../nn/index.ts'
import { FLOAT, type Graph, type Value } from './graph.ts'
import { layer, layerNorm, linear, lookup, sizeAt, sum } from './layers.ts'

/** Added to the scores of what is masked: a finite number, so that a row of masked tokens alone is no 0 / 0. */
const MASKED = -1e30

/** The names of a text's tensors; of two texts each has its own. */
export const textNames = (prefix: string, { joined }: TextInput): string[] =>
  ['input_ids', 'attention_mask', ...(joined ? ['token_type_ids'] : [])].map(name => `${prefix}${name}`)

/** A text in a graph: B rows, S columns of which there is one at least. */
export interface Text {
  /** [B, S] int64. */
  ids: Value
  /** [B, S] int64, where tokens have types. */
  types: Value | undefined
  /** [B, S], 1 where a token counts and 0 elsewhere. */
  mask: Value
  /** [B, 1], tokens that count. */
  count: Value
  /** [B, 1], 1 where any token counts and 0 elsewhere. */
  any: Value
  /** [1], int64. */
  S: Value
  /** [2] int64: B, S. */
  shape: Value
}

/** Declares the inputs of a text; tokens that are the padding id count as masked whatever the mask says, as they do here. */
export function readText(g: Graph, prefix: string, input: TextInput): Text {
  const [given, keep, typesGiven] = textNames(prefix, input).map(name =>
    g.input(name, 'int64', ['batch', `${prefix}sequence`]),
  ) as [Value, Value, Value | undefined]
  // A batch of empty texts has no column; one of padding stands for them.
  const missing = g.node('Max', [g.node('Sub', [g.ints([1]), sizeAt(g, given, 1)]), g.ints([0])])
  const pads = g.node('Concat', [g.ints([0, 0, 0]), missing], { axis: 0 })
  const padded = (x: Value, value: number) => g.node('Pad', [x, pads, g.int(value)])
  const ids = padded(given, input.padTokenId)
  const not = (x: Value, y: Value) => g.node('Not', [g.node('Equal', [x, y])])
  const counts = g.node('And', [not(padded(keep, 0), g.int(0)), not(ids, g.int(input.padTokenId))])
  const mask = g.node('Cast', [counts], { to: FLOAT })
  const count = sum(g, mask, 1, true)
  return {
    ids,
    types: typesGiven && padded(typesGiven, 0),
    mask,
    count,
    any: g.node('Min', [count, g.float(1)]),
    S: sizeAt(g, ids, 1),
    shape: g.node('Shape', [ids]),
  }
}

/** Hidden states [B, S, H] of an encoder. */
export function encode(g: Graph, text: Text, encoder: Encoder): Value {
  const { dim, n_heads } = encoderShape(encoder.config)
  const self = selfAttention(g, text, n_heads, dim / n_heads)
  const flat = g.ints([-1, dim])
  let x = g.node('Reshape', [embedded(g, text, encoder), flat])
  if (encoder instanceof DistilBertModel)
    for (const { attention, sa_layer_norm, ffn, output_layer_norm } of encoder.layers) {
      const { q_lin, k_lin, v_lin, out_lin } = attention
      const attended = linear(g, self(x, [q_lin, k_lin, v_lin]), out_lin)
      x = layerNorm(g, g.node('Add', [attended, x]), sa_layer_norm)
      const inner = layer(g, linear(g, x, ffn.lin1), ffn.activation)
      x = layerNorm(g, g.node('Add', [linear(g, inner, ffn.lin2), x]), output_layer_norm)
    }
  else x = bertLayers(g, x, encoder, self)
  return g.node('Reshape', [x, g.node('Concat', [text.shape, g.ints([dim])], { axis: 0 })], { allowzero: 1 })
}

type Attend = (x: Value, projections: readonly [q: Linear, k: Linear, v: Linear]) => Value

function bertLayers(g: Graph, start: Value, encoder: BertModel, self: Attend): Value {
  let x = start
  for (const { attention, intermediate, output } of encoder.layers) {
    const { query, key, value } = attention.self
    const attended = linear(g, self(x, [query, key, value]), attention.output.dense)
    x = layerNorm(g, g.node('Add', [attended, x]), attention.output.LayerNorm)
    const inner = layer(g, linear(g, x, intermediate.dense), intermediate.intermediate_act_fn)
    x = layerNorm(g, g.node('Add', [linear(g, inner, output.dense), x]), output.LayerNorm)
  }
  return x
}

/** Word, position and type embeddings, [B, S, H]. */
function embedded(g: Graph, text: Text, { embeddings }: Encoder): Value {
  const { word_embeddings, position_embeddings, token_type_embeddings, LayerNorm } = embeddings
  const scalar = (x: Value) => g.node('Squeeze', [x, g.ints([0])])
  const positions = g.node('Range', [g.int(0), scalar(text.S), g.int(1)])
  const places = g.node('Gather', [g.weight(position_embeddings.weight), positions])
  let x = g.node('Add', [lookup(g, word_embeddings, text.ids), places])
  if (token_type_embeddings) {
    const types = text.types ?? g.node('Mul', [text.ids, g.int(0)])
    x = g.node('Add', [x, lookup(g, token_type_embeddings, types)])
  }
  return layerNorm(g, x, LayerNorm)
}

/** Attention inside each row; of a row without tokens, nothing but zeros. */
function selfAttention(g: Graph, { mask, any, shape }: Text, heads: number, size: number): Attend {
  // 0 where a key counts, MASKED elsewhere: [B, 1, 1, S].
  const away = g.node('Mul', [g.node('Sub', [g.float(1), mask]), g.float(MASKED)])
  const bias = g.node('Unsqueeze', [away, g.ints([1, 2])])
  const rows = g.node('Unsqueeze', [any, g.ints([2, 3])])
  const split = g.node('Concat', [shape, g.ints([heads, size])], { axis: 0 })
  const joined = g.ints([-1, heads * size])
  return (x, projections) => {
    const [q, k, v] = projections.map((projection, i) => {
      const each = g.node('Reshape', [linear(g, x, projection), split], { allowzero: 1 })
      return g.node('Transpose', [each], { perm: i === 1 ? [0, 2, 3, 1] : [0, 2, 1, 3] })
    }) as [Value, Value, Value]
    const scores = g.node('MatMul', [g.node('Mul', [q, g.float(1 / Math.sqrt(size))]), k])
    const shares = g.node('Softmax', [g.node('Add', [scores, bias])], { axis: -1 })
    const read = g.node('Mul', [g.node('MatMul', [shares, v]), rows])
    return g.node('Reshape', [g.node('Transpose', [read], { perm: [0, 2, 1, 3] }), joined])
  }
}

/** Mean of the tokens that count, [B, H]; zeros where none does. */
export function meanPooled(g: Graph, hidden: Value, { mask, count }: Text): Value {
  const kept = g.node('Mul', [hidden, g.node('Unsqueeze', [mask, g.ints([2])])])
  return g.node('Div', [sum(g, kept, 1), g.node('Max', [count, g.float(1)])])
}

/** The first token's hidden state, [B, H]. */
export const firstOf = (g: Graph, hidden: Value): Value => g.node('Gather', [hidden, g.int(0)], { axis: 1 })

/** Average with weights softmax(w·h), [B, H]; zeros where no token counts. */
export function weightedPooled(g: Graph, hidden: Value, { mask }: Text, weighting: Linear<false>): Value {
  const w = g.node('Transpose', [g.weight(weighting.weight)], { perm: [1, 0] })
  const scores = g.node('Squeeze', [g.node('MatMul', [hidden, w]), g.ints([2])])
  const away = g.node('Mul', [g.node('Sub', [g.float(1), mask]), g.float(MASKED)])
  const shares = g.node('Mul', [g.node('Softmax', [g.node('Add', [scores, away])], { axis: -1 }), mask])
  return sum(g, g.node('Mul', [hidden, g.node('Unsqueeze', [shares, g.ints([2])])]), 1)
}
