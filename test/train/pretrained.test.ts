// Encoders that transformers saved: hidden states, other layouts of the same weights, and what is refused.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { noGrad, readParameter, scope } from '../../src/autograd/index.ts'
import { collatePadded } from '../../src/data/index.ts'
import { type TensorStream, writeSafetensors } from '../../src/data/safetensors-file.ts'
import { TextTabularModel } from '../../src/models/index.ts'
import type { Encoder } from '../../src/nn/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { fromPretrained, loadEncoder, saveModel, savePretrained } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { readSafetensors, type StoredTensor } from '../support/read-safetensors.ts'

const gpu = await openTestGpu()
const scratch = mkdtempSync(join(tmpdir(), 'kernelgrad-pretrained-'))
test.after(() => {
  rmSync(scratch, { recursive: true })
  gpu.close()
})
const KINDS = ['distilbert', 'bert'] as const
const golden = (kind: string) => `test/golden/encoders/${kind}`
const weightsOf = (kind: string) => readSafetensors(`${golden(kind)}/model.safetensors`)
const configOf = (kind: string) => JSON.parse(readFileSync(`${golden(kind)}/config.json`, 'utf8'))

/** Hidden states at kept positions, and what transformers has there. */
async function states(encoder: Encoder, kind: string): Promise<[Float32Array, Float32Array]> {
  const expected = readSafetensors(`${golden(kind)}/expected.safetensors`)
  const [B, S, H] = expected.get('last_hidden_state')!.shape as [number, number, number]
  const { text: tokens } = collatePadded(
    { inputIds: expected.get('input_ids')!, attentionMask: expected.get('attention_mask')! },
    { padTokenId: 0 },
  )
  const text = tokens!
  assert.is(text.cuSeqlens.length, B + 1)
  const wanted = new Float32Array(text.tokens * H)
  for (let t = 0; t < text.tokens; t++) {
    const from = (text.rowIds[t]! * S + text.positionIds.ids[t]!) * H
    for (let h = 0; h < H; h++) wanted[t * H + h] = expected.get('last_hidden_state')!.data[from + h]!
  }
  const got = await scope(() => noGrad(() => encoder.forward(text).hidden.read()))
  return [got, wanted]
}

let folders = 0
/** A folder with a config.json, and weights in one file or several. */
async function folderOf(config: object, files: Record<string, TensorStream[]>): Promise<string> {
  const folder = join(scratch, `${folders++}`)
  mkdirSync(folder)
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  for (const [name, entries] of Object.entries(files)) await writeSafetensors(join(folder, name), entries)
  return folder
}

const f32 = (values: ArrayLike<number>) => [new Uint8Array(Float32Array.from(values).buffer)]
function entries(
  tensors: Map<string, StoredTensor>,
  rename: (name: string) => string = name => name,
): TensorStream[] {
  return [...tensors].map(([name, { shape, data }]) => ({
    name: rename(name),
    dtype: 'F32' as const,
    shape,
    chunks: f32(data),
  }))
}
const head = (name: string): TensorStream => ({ name, dtype: 'F32', shape: [3], chunks: f32([1, 2, 3]) })

const rejection = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => assert.unreachable('expected a rejection') as never,
    error => error,
  )

for (const kind of KINDS) {
  test(`${kind}: hidden states equal transformers'`, async () => {
    const notes: string[] = []
    const encoder = await fromPretrained(gpu, golden(kind), { note: text => notes.push(text) })
    assert.equal(notes, [])
    assert.equal(new Set(new Map(encoder.namedParameters()).keys()), new Set(weightsOf(kind).keys()))
    expectClose(...(await states(encoder, kind)), 1e-5)
    encoder.free()
  })

  test(`${kind}: saved again, the folder holds the same names, values and settings`, async () => {
    const encoder = await fromPretrained(gpu, golden(kind))
    const folder = join(scratch, `${kind}-again`)
    await savePretrained(encoder, folder)
    const saved = readSafetensors(join(folder, 'model.safetensors'))
    for (const [name, { data, shape }] of weightsOf(kind)) {
      assert.equal(saved.get(name)!.shape, shape, name)
      assert.equal(saved.get(name)!.data, data, name)
    }
    const [before, after] = [configOf(kind), JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))]
    for (const [key, value] of Object.entries(after))
      if (key !== 'add_pooling_layer') assert.equal(value, before[key], key)
    encoder.free()
  })

  test(`${kind}: under a head's prefix, in shards, with older names and a head beside it`, async () => {
    const old = (name: string) =>
      `${kind}.${name.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta')}`
    const all = [
      ...entries(weightsOf(kind), old),
      head('cls.predictions.bias'),
      head(`${kind}.embeddings.position_ids`),
    ]
    const shards = {
      'model-00001-of-00002.safetensors': all.slice(0, 20),
      'model-00002-of-00002.safetensors': all.slice(20),
    }
    const folder = await folderOf(configOf(kind), shards)
    const weight_map = Object.fromEntries(
      Object.entries(shards).flatMap(([file, list]) => list.map(({ name }) => [name, file])),
    )
    writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map }))
    const notes: string[] = []
    const encoder = await fromPretrained(gpu, folder, { note: text => notes.push(text) })
    assert.is(notes.length, 1)
    assert.match(notes[0]!, /left aside cls\.predictions\.bias; \w+\.embeddings\.position_ids$/)
    expectClose(...(await states(encoder, kind)), 1e-5)
    encoder.free()
  })

  for (const [dtype, bits] of [
    ['F16', (x: number) => reference.f16Bits(x)],
    ['BF16', (x: number) => new Uint32Array(Float32Array.of(x).buffer)[0]! >>> 16],
  ] as const) {
    test(`${kind}: ${dtype} weights are read to the bit`, async () => {
      const halves = entries(weightsOf(kind)).map(entry => {
        const { data } = weightsOf(kind).get(entry.name)!
        return { ...entry, dtype, chunks: [new Uint8Array(Uint16Array.from(data, bits).buffer)] }
      })
      const encoder = await fromPretrained(
        gpu,
        await folderOf(configOf(kind), { 'model.safetensors': halves }),
      )
      for (const [name, parameter] of encoder.namedParameters()) {
        const got = await readParameter(parameter)
        const { data } = weightsOf(kind).get(name)!
        assert.equal(Uint16Array.from(got, bits), Uint16Array.from(data, bits), name)
        expectClose(got, data as Float32Array, 2 ** (dtype === 'F16' ? -10 : -7), { label: name })
      }
      encoder.free()
    })
  }
}

test('BERT without its pooler, and DistilBERT under another kind of name', async () => {
  const bare = entries(weightsOf('bert')).filter(({ name }) => !name.startsWith('pooler'))
  const encoder = await fromPretrained(gpu, await folderOf(configOf('bert'), { 'model.safetensors': bare }))
  assert.not([...encoder.namedParameters()].some(([name]) => name.startsWith('pooler')))
  expectClose(...(await states(encoder, 'bert')), 1e-5)
  encoder.free()
})

test('every tensor that is missing, extra or of another shape is listed, before a value is set', async () => {
  const list = entries(weightsOf('distilbert'))
  const without = list.filter(({ name }) => name !== 'transformer.layer.1.ffn.lin1.bias')
  const broken = without.map(entry =>
    entry.name === 'embeddings.LayerNorm.bias' ? { ...entry, shape: [24, 2] } : entry,
  )
  const folder = await folderOf(configOf('distilbert'), {
    'model.safetensors': [...broken, head('transformer.layer.3.ffn.lin1.bias'), head('vocab_projector.bias')],
  })
  const encoder = await fromPretrained(gpu, golden('distilbert'))
  const { message } = await rejection(loadEncoder(encoder, folder))
  for (const part of [
    /does not fit DistilBertModel: /,
    /transformer\.layer\.3\.ffn\.lin1\.bias is no part of it/,
    /; transformer\.layer\.1\.ffn\.lin1\.bias is missing/,
    /embeddings\.LayerNorm\.bias has shape \[24, 2\], expected \[48\]/,
  ])
    assert.match(message, part)
  assert.not.match(message, /vocab_projector/)
  expectClose(...(await states(encoder, 'distilbert')), 1e-5)
  encoder.free()
})

test('what is no encoder here is refused by name', async () => {
  const files = { 'model.safetensors': [head('roberta.embeddings.word_embeddings.weight')] }
  const refused = async (config: object, says: RegExp) =>
    assert.match((await rejection(fromPretrained(gpu, await folderOf(config, files)))).message, says)
  await refused(
    { ...configOf('bert'), hidden_act: 'gelu_new' },
    /hidden_act: expected one of 'gelu', 'relu', got "gelu_new"/,
  )
  await refused({ ...configOf('bert'), position_embedding_type: 'relative_key' }, /only 'absolute' positions/)
  await refused(
    { ...configOf('bert'), model_type: 'roberta' },
    /model_type: expected one of 'distilbert', 'bert', got "roberta"/,
  )
  await refused({ ...configOf('distilbert'), activation: 'silu' }, /activation: expected one of/)
  await refused({ ...configOf('distilbert'), sinusoidal_pos_embds: true }, /sinusoidal position embeddings/)
  await refused(configOf('distilbert'), /holds no encoder: expected embeddings\.word_embeddings\.weight/)
  const pickled = await folderOf(configOf('distilbert'), {})
  writeFileSync(join(pickled, 'pytorch_model.bin'), 'x')
  const { message } = await rejection(fromPretrained(gpu, pickled))
  assert.match(message, /holds neither model\.safetensors nor .*; it holds pytorch_model\.bin/)
})

for (const kind of KINDS) {
  test(`${kind}: a click model around it trains, and gives its encoder on`, async () => {
    const { architectures: _, ...encoder } = configOf(kind)
    const plain = { ...encoder, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 }
    const model = new TextTabularModel({
      features_config: { title: { dtype: 'token_id' } },
      pretrained_model_config:
        kind === 'bert' ? pick(plain) : pick({ ...encoder, dropout: 0, attention_dropout: 0 }),
    }).to(gpu, { seed: 1 })
    await loadEncoder(model.bert, golden(kind))
    const inputIds = [
      [5, 9, 200, 7, 31],
      [2, 3, 0, 0, 0],
      [11, 240, 8, 0, 0],
    ]
    const batch = collatePadded({ inputIds, labels: [1, 0, 1] }, { padTokenId: 0 })
    const optimizer = new AdamW(gpu, [{ params: model.parameters() }], { lr: 5e-3 })
    const losses: number[] = []
    for (let step = 0; step < 5; step++) {
      const loss = scope(() => {
        const result = model.forward(batch).loss!
        result.backward()
        return result.item()
      })
      losses.push(await loss)
      optimizer.step({ maxGradNorm: 1 })
      optimizer.zeroGrad()
    }
    optimizer.synchronize()
    assert.ok(losses.at(-1)! < losses[0]!, `${losses}`)
    for (const [name, parameter] of model.bert.namedParameters()) {
      const { data } = weightsOf(kind).get(name)!
      const moved = (await readParameter(parameter)).some((value, i) => value !== data[i])
      assert.is(moved, !name.startsWith('pooler'), name)
    }
    const folder = join(scratch, `${kind}-click`)
    await saveModel(model, folder)
    const again = await fromPretrained(gpu, folder)
    for (const [name, parameter] of again.namedParameters()) {
      const own = new Map(model.bert.namedParameters()).get(name)!
      assert.equal(await readParameter(parameter), await readParameter(own), name)
    }
    for (const each of [again, model]) each.free()
    optimizer.dispose()
  })
}

/** The settings that are the encoder's own. */
function pick(json: Record<string, unknown>) {
  const own = Object.entries(json).filter(
    ([key]) => !/^(add_cross|bos|eos|dtype|is_dec|tie|transformers|use_cache|classifier)/.test(key),
  )
  return Object.fromEntries(own) as never
}

test.run()
