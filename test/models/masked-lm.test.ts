// Masked language modelling with a tied projection, against transformers and against an untied twin.
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { drift, readTensors } from '../../bench/parity/frozen.ts'
import { linear, noGrad, scope, takeRows, tensor, tiedLinear } from '../../src/autograd/index.ts'
import { collatePadded } from '../../src/data/index.ts'
import type { BatchOf, CollatedTokens } from '../../src/inputs.ts'
import { DistilBertForMaskedLM, type MaskedLMInputs } from '../../src/models/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { expectClose } from '../../src/testing/index.ts'
import { loadWeights } from '../../src/train/index.ts'
import { openTestGpu, seeded, seededInts } from '../support/gpu.ts'
import { denseParameter, tableParameter } from '../support/parameters.ts'
import { readSafetensors } from '../support/read-safetensors.ts'

const gpu = await openTestGpu()
const golden = ['test/golden/mlm', '../shared/golden/mlm'].find(folder => existsSync(folder))
if (!golden) console.log('skip: no frozen values of mlm')

const ENCODER = {
  vocab_size: 211,
  dim: 32,
  n_heads: 4,
  n_layers: 2,
  hidden_dim: 64,
  max_position_embeddings: 64,
  pad_token_id: 210,
  dropout: 0,
  attention_dropout: 0,
}
const CONFIG = {
  features_config: { title: { dtype: 'token_id' } },
  pretrained_model_config: ENCODER,
  mask_token_id: 0,
}

/** A batch whose tokens are to be predicted where `labels` [T] has one; what stands in their places is as it is. */
function batchOf(text: CollatedTokens, labels: Int32Array): BatchOf<MaskedLMInputs> {
  const positions = Uint32Array.from(labels.keys()).filter(t => labels[t] !== IGNORE)
  const size = text.cuSeqlens.length - 1
  return {
    size,
    rows: Array.from({ length: size }, (_, b) => b),
    text,
    masked: { inputIds: text.inputIds, positions, labels: positions.map(t => labels[t]!) },
  }
}
const IGNORE = -100

;(golden ? test : test.skip)('loss, logits and gradients equal transformers’', async () => {
  const frozen = readSafetensors(`${golden}/forward.safetensors`)
  const get = (name: string) => frozen.get(name)!
  const model = new DistilBertForMaskedLM(CONFIG).to(gpu)
  await loadWeights(model, `${golden}/weights.safetensors`)
  const [, S, V] = get('logits').shape as [number, number, number]
  const { text } = collatePadded(
    { inputIds: get('input_ids'), attentionMask: get('attention_mask') },
    { padTokenId: 210 },
  )
  const { rowIds, positionIds, tokens } = text!
  const places = Uint32Array.from({ length: tokens }, (_, t) => rowIds[t]! * S + positionIds.ids[t]!)
  const labels = Int32Array.from(places, at => get('labels').data[at]!)
  const labelled = Array.from(get('labels').data).filter(label => label !== -100).length
  assert.is(labels.filter(label => label !== -100).length, labelled, 'every label stands at a kept token')

  const logits = await scope(() => noGrad(() => model.tokenLogits(text!).read()))
  const wanted = new Float32Array(tokens * V)
  for (const [t, at] of places.entries())
    for (let v = 0; v < V; v++) wanted[t * V + v] = get('logits').data[at * V + v]!
  expectClose(logits, wanted, 1e-5, { label: 'logits' })

  const loss = scope(() => {
    const result = model.loss(batchOf(text!, labels))
    result.backward()
    return result.item()
  })
  assert.ok(Math.abs((await loss) / get('loss').data[0]! - 1) < 1e-5, `loss ${await loss}`)
  const grads = readSafetensors(`${golden}/grads.safetensors`)
  const names = [...model.namedParameters()].map(([name]) => name)
  assert.equal(names.sort(), [...grads.keys()].sort())
  let largest = 0
  for (const { data } of grads.values())
    for (const value of data) largest = Math.max(largest, Math.abs(value))
  for (const [name, parameter] of model.namedParameters()) {
    const { data } = grads.get(name)!
    const noise = data.every(value => Math.abs(value) < 1e-9)
    const got = await parameter.readGrad()
    // A true gradient of zero (k_lin.bias) is rounding noise: it is held against the largest of the model.
    if (noise) expectClose(got, data, 2e-5 * largest, { absolute: true, label: name })
    else expectClose(got, data, 2e-5, { label: name })
  }
  model.free()
})

test('a tied projection gives what an untied one of the same values gives', async () => {
  const [n, H, V] = [7, 5, 23]
  const [x, w, b, dy] = [seeded(n * H, 1), seeded(V * H, 2), seeded(V, 3), seeded(n * V, 4)]
  const run = async (tied: boolean) => {
    const input = tensor(gpu, x, [n, H], { requiresGrad: true })
    const bias = denseParameter(gpu, b, [V])
    const table = tableParameter(gpu, w, [V, H])
    const weight = denseParameter(gpu, w, [V, H])
    const y = tied ? tiedLinear(input, table, bias) : linear(input, weight, bias)
    const out = await y.keep().read()
    y.backward({ seed: tensor(gpu, dy, [n, V]) })
    const dw = await (tied ? table : weight).readGrad()
    return { out, dw, dx: await input.grad!.read(), db: await bias.readGrad() }
  }
  const [tied, untied] = [await run(true), await run(false)]
  for (const key of ['out', 'dw', 'dx', 'db'] as const)
    expectClose(tied[key], untied[key], 1e-6, { label: key })
  assert.throws(
    () =>
      tiedLinear(
        tensor(gpu, x, [n, H]),
        tableParameter(gpu, seeded(8, 1), [2, 4]),
        denseParameter(gpu, b, [V]),
      ),
    /the table \[2,4\]/,
  )
})

test('taken rows give their gradient back to where they stood', async () => {
  const [T, H] = [6, 3]
  const x = tensor(gpu, seeded(T * H, 1), [T, H], { requiresGrad: true })
  const rows = Uint32Array.from([4, 0, 5])
  const y = takeRows(x, rows)
  const dy = seeded(9, 2)
  const data = seeded(T * H, 1)
  assert.equal(
    Array.from(await y.keep().read()),
    [...rows].flatMap(row => [...data.subarray(3 * row, 3 * row + 3)]),
  )
  y.backward({ seed: tensor(gpu, dy, [3, H]) })
  const wanted = new Float32Array(T * H)
  for (const [i, row] of rows.entries()) wanted.set(dy.subarray(3 * i, 3 * i + 3), 3 * row)
  assert.equal(await x.grad!.read(), wanted)
  assert.throws(() => takeRows(x, Uint32Array.of(1, 6)), /row 6 of a tensor of shape \[6,3\]/)
})

test('it learns tokens by heart, the table moving through both of its uses', async () => {
  const model = new DistilBertForMaskedLM(CONFIG).to(gpu, { seed: 2 })
  const inputIds = [0, 1, 2].map(seed => Array.from(seededInts(9, seed, 200)))
  const { text } = collatePadded({ inputIds }, { padTokenId: 210 })
  const labels = Int32Array.from(text!.inputIds.ids, (id, t) => (t % 3 ? -100 : id))
  const input = batchOf(text!, labels)
  const optimizer = new AdamW(gpu, [{ params: model.parameters() }], { lr: 5e-3 })
  const losses: number[] = []
  for (let step = 0; step < 25; step++) {
    const loss = scope(() => {
      const result = model.loss(input)
      result.backward()
      return result.item()
    })
    losses.push(await loss)
    optimizer.step({ maxGradNorm: 1 })
    optimizer.zeroGrad()
  }
  assert.ok(losses.at(-1)! < losses[0]! / 4, `${losses[0]} to ${losses.at(-1)}`)
  const nothing = batchOf(
    text!,
    labels.map(() => IGNORE),
  )
  assert.is(await scope(() => model.loss(nothing).item()), 0)
  assert.equal([...(await scope(() => noGrad(() => model.scores(nothing)).read()))], Array(9).fill(0))
  assert.throws(
    () =>
      scope(() =>
        model.loss(
          batchOf(
            text!,
            labels.map(() => 211),
          ),
        ),
      ),
    /label.* 211|211.*classes/,
  )
  optimizer.dispose()
  model.free()
})

const trained = ['test/golden/mlm_train', '../shared/golden/mlm_train'].find(folder => existsSync(folder))
if (!trained) console.log('skip: no frozen values of mlm_train')
const inGolden = trained ? test : test.skip

interface TrainedCase {
  bert: Record<string, number>
  losses: number[]
  grad_norms: number[]
  lr_encoder: number
  zero_gradient?: string[]
}
const caseOf = (folder: string): TrainedCase => JSON.parse(readFileSync(`${folder}/case.json`, 'utf8'))

/** The mask's row is the table's last: the data has one token fewer. */
const pretraining = ({ bert }: TrainedCase) => ({
  features_config: { title: { dtype: 'token_id' } },
  pretrained_model_config: { ...bert, vocab_size: bert.vocab_size! - 1, dropout: 0, attention_dropout: 0 },
})

inGolden(
  'ten steps of pretraining are transformers’: logits, gradients, losses, norms, weights',
  async () => {
    const folder = `${trained}/pretrain`
    const frozen = caseOf(folder)
    const model = new DistilBertForMaskedLM(pretraining(frozen)).to(gpu)
    assert.is(model.inputs.masked.maskTokenId, 100)
    await loadWeights(model, `${folder}/weights.safetensors`)
    const batches = await readTensors(`${folder}/batches.safetensors`)
    const batch = (i: number) => {
      const get = (name: string) => batches.get(`${i}.${name}`)!
      const [, S] = get('input_ids').shape as [number, number]
      const attentionMask = get('attention_mask')
      const { text } = collatePadded(
        { inputIds: get('input_ids'), attentionMask },
        { padTokenId: frozen.bert.pad_token_id! },
      )
      const at = Array.from(
        { length: text!.tokens },
        (_, t) => text!.rowIds[t]! * S + text!.positionIds.ids[t]!,
      )
      return batchOf(
        text!,
        Int32Array.from(at, place => get('labels').data[place]!),
      )
    }
    model.train()
    const forward = readSafetensors(`${folder}/forward.safetensors`)
    const first = batch(0)
    const kept = scope(() => noGrad(() => model.tokenLogits(first.text)).read())
    const V = frozen.bert.vocab_size!
    const all = await kept
    const selected = new Float32Array(first.masked.positions.length * V)
    for (const [i, t] of first.masked.positions.entries())
      selected.set(all.subarray(t * V, (t + 1) * V), i * V)
    expectClose(selected, Float32Array.from(forward.get('selected_logits')!.data), 1e-5, {
      label: 'selected_logits',
    })
    const grads = readSafetensors(`${folder}/grads.safetensors`)
    scope(() => model.loss(first).backward())
    const zero = new Set(frozen.zero_gradient)
    let largest = 0
    for (const { data } of grads.values())
      for (const value of data) largest = Math.max(largest, Math.abs(value))
    for (const [name, parameter] of model.namedParameters()) {
      const noise = zero.has(name) || name.endsWith('k_lin.bias')
      const bound = noise ? { absolute: true, label: name } : { label: name }
      expectClose(await parameter.readGrad(), grads.get(name)!.data, noise ? 2e-5 * largest : 2e-5, bound)
    }
    model.zeroGrad()
    const optimizer = new AdamW(gpu, [{ params: model.parameters() }], {
      lr: frozen.lr_encoder,
      weightDecay: 0.01,
    })
    for (const [step, expected] of frozen.losses.entries()) {
      const loss = scope(() => {
        const result = model.loss(batch(step))
        result.backward()
        return result.item()
      })
      optimizer.step({ maxGradNorm: 1 })
      assert.ok(
        Math.abs((await loss) / expected - 1) < 1e-4,
        `step ${step}: ${await loss}, expected ${expected}`,
      )
      const norm = await optimizer.gradNorm()
      assert.ok(Math.abs(norm / frozen.grad_norms[step]! - 1) < 1e-4, `norm of step ${step}: ${norm}`)
      optimizer.zeroGrad()
    }
    optimizer.synchronize()
    const final = readSafetensors(`${folder}/final.safetensors`)
    const start = readSafetensors(`${folder}/weights.safetensors`)
    for (const [name, parameter] of model.namedParameters()) {
      if (zero.has(name) || name.endsWith('k_lin.bias')) continue
      const off = await drift(parameter, start.get(name)!.data, final.get(name)!.data)
      assert.ok(off < 5e-3, `${name} is off by ${off} of its way`)
    }
    optimizer.dispose()
    model.free()
  },
)

test.after(() => gpu.close())
test.run()
