// config.json of folders that transformers saved: what is read, left aside and refused.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseEncoderConfig, parseSavedEncoder } from '../../src/config/index.ts'
import { refusal } from './notebook.ts'

const saved = { model_type: 'bert', vocab_size: 9, hidden_size: 24, num_attention_heads: 2 }
const distil = { model_type: 'distilbert', vocab_size: 9, dim: 24, n_heads: 2 }
const silent = {
  _attn_implementation_autoset: true,
  _name_or_path: 'x',
  architectures: ['BertForMaskedLM'],
  classifier_dropout: null,
  id2label: { 0: 'a', 1: 'b' },
  is_decoder: false,
  add_cross_attention: false,
  is_encoder_decoder: false,
  cross_attention_hidden_size: null,
  num_labels: 2,
  output_past: true,
  pruned_heads: {},
  position_embedding_type: null,
  adapters: {},
  torch_dtype: 'float32',
  transformers_version: '4.46.0',
  torchscript: false,
  use_cache: true,
}
const noted = {
  auto_map: { AutoModel: 'x.y' },
  directionality: 'bidi',
  embedding_size: 16,
  length_penalty: 1,
  num_return_sequences: 1,
  pooler_fc_size: 768,
  pooler_type: 'first_token_transform',
  'transformers.js_config': { dtype: 'q8' },
  use_bfloat16: false,
  something_of_tomorrow: [1],
}

test('a folder that transformers saved is read whatever else it says, with a note of what does not stand in every file', () => {
  const notes: string[] = []
  const note = (text: string) => notes.push(text)
  const plain = parseSavedEncoder(saved, 'c')
  assert.equal(parseSavedEncoder({ ...saved, ...silent }, 'c', note), plain)
  assert.equal(notes, [])
  assert.equal(parseSavedEncoder({ ...saved, ...silent, ...noted }, 'c', note), plain)
  assert.equal(notes, [`c: left aside ${Object.keys(noted).join(', ')}, which no encoder reads`])
  assert.equal(
    parseSavedEncoder({ ...distil, ...noted, hidden_size: 24 }, 'c'),
    parseSavedEncoder(distil, 'c'),
  )
  // Files of transformers 2 name no kind.
  const { model_type: _, ...old } = saved
  assert.equal(parseSavedEncoder(old, 'c'), plain)
  assert.equal(parseSavedEncoder({ ...old, architectures: ['BertModel'] }, 'c'), plain)
  assert.equal(parseSavedEncoder({ ...saved, hidden_act: 'gelu_python' }, 'c'), plain)
  // What a user writes stays strict, but may be a copy of a folder's.
  assert.equal(parseEncoderConfig({ ...saved, is_decoder: false, pruned_heads: {} }, 'c'), plain)
  assert.match(
    refusal(() => parseEncoderConfig({ ...saved, directionality: 'bidi' }, 'c')),
    /unknown key "directionality"/,
  )
})

test('what would change the result is refused by key, in folders and in files of a user', () => {
  for (const [more, says] of [
    [
      { is_decoder: true },
      /^c: is_decoder: expected false, got true: a decoder attends to earlier tokens only$/,
    ],
    [{ add_cross_attention: true }, /^c: add_cross_attention: expected false, got true/],
    [{ is_encoder_decoder: true }, /^c: is_encoder_decoder: expected false/],
    [{ pruned_heads: { 0: [1] } }, /^c: pruned_heads: expected \{\}, got \{"0":\[1\]\}/],
    [{ adapters: { a: 1 } }, /^c: adapters: expected \{\}/],
    [{ quantization_config: { bits: 8 } }, /^c: quantization_config: expected null/],
    [{ position_embedding_type: 'relative_key' }, /position_embedding_type: only 'absolute' positions/],
    [{ position_embedding_type: 'relative_key_query' }, /position_embedding_type: only 'absolute' positions/],
    [{ hidden_act: 'gelu_new' }, /hidden_act: expected one of 'gelu', 'relu', got "gelu_new"/],
    [{ hidden_act: null }, /hidden_act: expected one of/],
    [{ pad_token_id: null }, /pad_token_id: expected an integer of at least 0, got null/],
    [{ hidden_size: '24' }, /hidden_size: expected an integer of at least 1, got "24"/],
    [{ vocab_size: 1e300 }, /vocab_size: expected an integer/],
    [{ model_type: 'roberta' }, /model_type: expected one of 'distilbert', 'bert', got "roberta"/],
    [{ model_type: ['bert'] }, /model_type: expected one of/],
  ] as [object, RegExp][]) {
    assert.match(
      refusal(() => parseSavedEncoder({ ...saved, ...more }, 'c')),
      says,
    )
    assert.match(
      refusal(() => parseEncoderConfig({ ...saved, ...more }, 'c')),
      says,
    )
  }
  for (const [more, says] of [
    [{ hidden_size: 32 }, /^c: hidden_size is 32 and dim is 24, expected the same of both$/],
    [{ num_hidden_layers: 2 }, /^c: num_hidden_layers is 2 and n_layers is 6/],
    [{ num_attention_heads: '2' }, /^c: num_attention_heads is "2" and n_heads is 2/],
    [{ sinusoidal_pos_embds: true }, /sinusoidal position embeddings/],
    [{ activation: 'silu' }, /activation: expected one of/],
  ] as [object, RegExp][])
    assert.match(
      refusal(() => parseSavedEncoder({ ...distil, ...more }, 'c')),
      says,
    )
  for (const json of [null, 3, 'x', [], [saved]])
    assert.match(
      refusal(() => parseSavedEncoder(json, 'c')),
      /^c: expected an object/,
    )
})

test.run()
