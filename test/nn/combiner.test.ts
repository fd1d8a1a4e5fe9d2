// The eight ways in which text and table meet: against frozen values, and what is true of each at the edges.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkFusedTextCase, checkFusionCase } from '../../bench/parity/fusion-case.ts'
import { findingsTable, passes } from '../../bench/parity/report.ts'
import { FUSION_METHODS, type FusionMethod } from '../../src/config/index.ts'
import { nn, scope, sum, type Tensor, tensor } from '../../src/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()
const GATING = 'gating_on_cat_and_num_feats_then_sum'
const MLP = FUSION_METHODS.filter(method => method !== 'text_only' && method !== 'concat')

const caseOf = (folder: string) => JSON.parse(readFileSync(`${folder}/case.json`, 'utf8'))

for (const [name, findings] of [
  ['narrow/attention_on_cat_and_numerical_feats', 6],
  [`narrow/${GATING}`, 6],
  ['narrow/individual_mlps_on_cat_and_numerical_feats_then_concat', 6],
  ['wide/attention_on_cat_and_numerical_feats_bn', 7],
  [`wide/${GATING}`, 6],
  ['wide/mlp_on_concatenated_cat_and_numerical_feats_then_concat_bn', 7],
  ['wide/weighted_feature_sum_on_transformer_cat_and_numerical_feats_bn', 7],
] as const)
  test(`${name}: forward, gradients, ten steps as frozen`, async () => {
    const folder = `test/golden/fusion/${name}`
    const found = await checkFusionCase(gpu, folder, caseOf(folder))
    assert.is(found.length, findings)
    assert.ok(found.every(passes), findingsTable(found))
  })

test('a whole model with gates, an empty text among its rows, is as frozen', async () => {
  const folder = 'test/golden/fusion/model_gating'
  const found = await checkFusedTextCase(gpu, folder, caseOf(folder), { final: false })
  assert.is(found.length, 4)
  assert.ok(found.every(passes), findingsTable(found))
})

const H = 6
const given = (rows: number, width: number, seed: number, scale = 1): Tensor =>
  tensor(gpu, seeded(rows * width, seed, scale), [rows, width], { requiresGrad: true })

/** Runs a combiner on parts of the given widths, forward and backward; all that came of it. */
async function run(
  method: FusionMethod,
  sizes: { categorical?: number; numerical?: number },
  { rows = 5, text }: { rows?: number; text?: Float32Array<ArrayBuffer> } = {},
) {
  const combiner = new nn.Combiner(method, { text: H, ...sizes, dropout: 0 }).to(gpu, { seed: 3 })
  const x = text ? tensor(gpu, text, [rows, H], { requiresGrad: true }) : given(rows, H, 1)
  const c = sizes.categorical ? given(rows, sizes.categorical, 2) : undefined
  const n = sizes.numerical ? given(rows, sizes.numerical, 3) : undefined
  const read = scope(() => {
    const y = combiner.forward(x, c, n)
    const { shape } = y
    const values = y.read()
    if (method !== 'text_only') sum(y).backward()
    return { shape, values }
  })
  const gradients = await Promise.all([x, c, n].flatMap(part => (part?.grad ? [part.grad.read()] : [])))
  const weights = await Promise.all([...combiner.parameters()].map(parameter => parameter.readGrad()))
  const { width } = combiner
  combiner.free()
  return { width, shape: read.shape, y: await read.values, gradients, weights }
}

test('each method does with one part of the table where its formula leaves something to do, and says so elsewhere', async () => {
  for (const method of FUSION_METHODS) {
    for (const sizes of [{ categorical: 9 }, { numerical: 1 }, { categorical: 1 }, { numerical: 11 }]) {
      const needs =
        (method === 'mlp_on_categorical_then_concat' && !sizes.categorical) ||
        method === 'mlp_on_concatenated_cat_and_numerical_feats_then_concat'
      if (needs) {
        assert.throws(
          () => new nn.Combiner(method, { text: H, ...sizes }),
          /Combiner: method '.*' needs a (categorical|numerical) feature, and there is none/,
        )
        continue
      }
      const { width, shape, y, gradients } = await run(method, sizes)
      assert.equal(shape, [5, width])
      for (const values of [y, ...gradients]) assert.ok(values.every(Number.isFinite), method)
    }
  }
})

test('without any table, text_only and concat give the text, and the others are refused', async () => {
  for (const method of ['text_only', 'concat'] as const) {
    const { y, width } = await run(method, {})
    assert.is(width, H)
    assert.equal(y, seeded(5 * H, 1))
  }
  for (const method of MLP)
    assert.throws(
      () => new nn.Combiner(method, { text: H }),
      /needs a .* feature, and there is none; 'text_only'/,
    )
})

test('an empty text is left as it is by gates, and nothing of no length becomes NaN', async () => {
  const text = seeded(5 * H, 1)
  text.fill(0, 0, H)
  const { y, gradients, weights } = await run(GATING, { categorical: 4, numerical: 3 }, { text })
  assert.equal([...y.subarray(0, H)], Array(H).fill(0))
  assert.ok(y.subarray(H, 2 * H).some(value => value !== 0))
  for (const values of [y, ...gradients, ...weights]) assert.ok(values.every(Number.isFinite))
  // Gates that are all closed, and a bias of zero: what is added has no length.
  const combiner = new nn.Combiner(GATING, { text: H, numerical: 2, dropout: 0 }).to(gpu, { seed: 1 })
  combiner.loadStateDict(
    [...(await combiner.stateDict())].map(([name, { shape, data }]) => [
      name,
      { shape, data: new Float32Array(data.length) },
    ]),
  )
  const x = given(3, H, 4)
  const out = scope(() => {
    const y = combiner.forward(x, undefined, given(3, 2, 5))
    const values = y.read()
    sum(y).backward()
    return values
  })
  assert.equal(await out, seeded(3 * H, 4))
  assert.ok((await x.grad!.read()).every(value => value === 1))
  for (const parameter of combiner.parameters())
    assert.ok((await parameter.readGrad()).every(Number.isFinite))
  combiner.free()
})

test('batch normalization stands in hidden layers alone, and dropout does something while training', async () => {
  const norms = (method: FusionMethod, batchNorm: boolean) =>
    [...new nn.Combiner(method, { text: H, categorical: 29, numerical: 13, batchNorm }).namedBuffers()].map(
      ([name]) => name,
    )
  for (const method of FUSION_METHODS) assert.equal(norms(method, false), [])
  assert.equal(norms('individual_mlps_on_cat_and_numerical_feats_then_concat', true), [
    'num_mlp.bn.0.running_mean',
    'num_mlp.bn.0.running_var',
    'num_mlp.bn.0.num_batches_tracked',
  ])
  assert.equal(norms(GATING, true), [])
  const combiner = new nn.Combiner(GATING, { text: H, categorical: 4, dropout: 0.5 }).to(gpu, { seed: 1 })
  const values = () => scope(() => combiner.forward(given(4, H, 1), given(4, 4, 2)).read())
  assert.not.equal(await values(), await values())
  combiner.eval()
  assert.equal(await values(), await values())
  combiner.free()
})

test('what a combiner cannot join is refused with what was expected', () => {
  const wrong = (method: unknown, options: object) => () =>
    new nn.Combiner(method as FusionMethod, options as nn.CombinerOptions)
  assert.throws(
    wrong('gate', { text: 4 }),
    /Combiner: method is 'gate', expected 'text_only' or 'concat' or .*weighted_feature_sum/,
  )
  assert.throws(wrong('concat', { text: 0 }), /Combiner: text is 0/)
  assert.throws(wrong('concat', { text: 4, numerical: 1.5 }), /Combiner: numerical is 1\.5/)
  assert.throws(
    wrong(GATING, { text: 4, numerical: 1, mlpDivision: 1 }),
    /mlpDivision is 1, expected a whole number of at least 2/,
  )
  assert.throws(wrong(GATING, { text: 4, numerical: 1, gatingBeta: -1 }), /gatingBeta is -1/)
  assert.throws(wrong(GATING, { text: 4, numerical: 1, dropout: 1 }), /dropout probability 1 is out of range/)
  assert.throws(wrong(GATING, { text: 4, numerical: 1, batchNorm: 1 }), /batchNorm is 1/)
  assert.throws(wrong(GATING, { text: 4, numerical: 1, beta: 1 }), /beta/)
  const combiner = new nn.Combiner(GATING, { text: 4, categorical: 3 }).to(gpu)
  const x = (...shape: number[]) => tensor(gpu, new Float32Array(shape.reduce((a, b) => a * b)), shape)
  assert.throws(() => combiner.forward(x(2, 4), x(2, 2)), /categorical has shape \[2, 2\], expected \[2, 3\]/)
  assert.throws(() => combiner.forward(x(2, 4), x(3, 3)), /categorical has shape \[3, 3\], expected \[2, 3\]/)
  assert.throws(() => combiner.forward(x(2, 4)), /categorical/)
  assert.throws(
    () => combiner.forward(x(2, 4), x(2, 3), x(2, 1)),
    /numerical is given, and the combiner was made without/,
  )
  combiner.free()
})

test.run()
