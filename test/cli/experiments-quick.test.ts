// The experiments on planted rows in their quick form, each from its rows to its report.
// Waits for CI: it trains eighteen small models
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Figures } from '../../src/cli/experiments/experiment.ts'
import { kernelgrad } from './capture.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-quick-experiments-'))
test.after(() => rmSync(folder, { recursive: true }))

interface Results {
  experiment: string
  quick: boolean
  trials: { seed: number; figures: Figures }[]
  checks: { says: string; pass: boolean; found: string }[]
  pass: boolean
}
const resultsIn = (out: string): Results => JSON.parse(readFileSync(join(out, 'results.json'), 'utf8'))

/** A quick run of one seed: it passes, and what it leaves is whole. Returns its figures. */
async function quick(
  name: string,
  models: readonly string[],
  figure = 'ROC AUC',
): Promise<{ out: string; figures: Figures }> {
  const out = join(folder, name)
  const run = await kernelgrad('experiment', name, '--quick', '--seeds', '1', '--seed', '4', '--out', out)
  assert.is(run.code, 0, run.err + run.out)
  assert.match(run.out, new RegExp(`\\n${figure} +seed 4( +PyTorch)?\\n[- ]+\\n`))
  assert.match(
    run.out,
    /\npass {2}.*\n\npassed in (?:\d+m)?\d+s; models, results\.json and report\.html are in /,
  )
  assert.not.match(run.out, /FAIL|NaN|undefined/)
  const results = resultsIn(out)
  assert.equal([results.experiment, results.quick, results.pass], [name, true, true])
  assert.equal(
    results.trials.map(({ seed }) => seed),
    [4],
  )
  assert.ok(results.checks.length > 0 && results.checks.every(({ pass }) => pass))
  const page = readFileSync(join(out, 'report.html'), 'utf8')
  const { figures } = results.trials[0]!
  for (const model of models) {
    assert.ok(figures[model]! > 0.3 && figures[model]! < 1, `${model} ${figures[model]}`)
    assert.ok(page.includes(model), `${model} is in the report`)
    assert.ok(existsSync(join(out, 'seed-4', model, 'model.safetensors')), model)
  }
  return { out, figures }
}

test('pretrain, quick: the encoder learns from texts, the click models are saved with their figures', async () => {
  const { out, figures } = await quick('pretrain', ['scratch_500', 'pretrained_500'])
  const data = join(out, 'seed-4', 'data')
  for (const name of ['scratch_500', 'pretrained_500']) {
    const model = ['--model', join(out, 'seed-4', name), '--data', join(data, 'test.parquet')]
    const { out: told } = await kernelgrad('evaluate', ...model, '--batch-size', '500', '--json')
    assert.is(JSON.parse(told).metrics.roc_auc, figures[name])
  }
  const again = await kernelgrad('experiment', 'pretrain', '--quick', '--out', out)
  assert.is(again.code, 1)
  assert.match(
    again.err,
    /pretrain already holds (results\.json|seed-4) of an earlier run; name a new folder/,
  )
})

test('fusion, quick: what has the table is above what has not', async () => {
  const { figures } = await quick('fusion', ['text_only', 'concat', 'attention_on_cat_and_numerical_feats'])
  assert.ok(figures.best_possible! > figures.concat!)
})

test('distill, quick: a student learns from its teacher’s folder alone, and is saved beside the one on clicks', async () => {
  const { out } = await quick('distill', ['teacher', 'clicks', 'distilled'])
  const trained = JSON.parse(readFileSync(join(out, 'seed-4', 'distilled', 'training_args.json'), 'utf8'))
  assert.equal(trained.distillation, {
    teacher: join(out, 'seed-4', 'teacher'),
    loss: 'kl',
    temperature: 2,
    alpha: 1,
  })
})

test('debias, quick: what knows the places is above what does not', async () => {
  const methods = ['naive_pointwise', 'ips_pointwise', 'dla']
  const { figures } = await quick('debias', methods, 'nDCG@10')
  assert.is(figures.dla_place_1, 0)
  assert.ok(figures.dla_place_10! < figures.dla_place_2!, 'what is far down is looked at less')
})

test('ultr, quick: sessions in files of the format, cross encoders on what preprocess makes of them', async () => {
  const { out, figures } = await quick('ultr', ['naive_pointwise', 'heads'], 'nDCG@10')
  assert.is(figures.best_possible, 1)
  assert.ok(existsSync(join(out, 'seed-4', 'raw', 'part-00000.gz')))
  const model = ['--model', join(out, 'seed-4', 'heads')]
  const data = ['--data', join(out, 'seed-4', 'data', 'annotated.parquet')]
  const { out: told } = await kernelgrad('evaluate', ...model, ...data, '--batch-size', '32', '--json')
  assert.is(JSON.parse(told).metrics['ndcg@10'], figures.heads)
})

test('npass, quick: fewer ads reach the teacher, more of its best the more do; its passes rank on the command line', async () => {
  const { out, figures } = await quick('npass', ['teacher', 'student'], 'share of')
  assert.equal(
    [5, 10, 20, 50, 100, 'all'].map(k => figures[`scored_${k}`]),
    [40, 80, 160, 400, 800, 960],
  )
  assert.is(figures.own_all, 1)
  assert.is(figures.own_ndcg_all, 1)
  const folder = join(out, 'seed-4')
  const args = ['--passes', join(folder, 'passes.json'), '--data', join(folder, 'data', 'candidates.parquet')]
  const told = await kernelgrad('rank', ...args, '--out', join(out, 'ranked.parquet'), '--json')
  assert.is(told.code, 0, told.err)
  const { rows, lists, passes } = JSON.parse(told.out)
  assert.equal([rows, lists, passes.map(({ scored }: { scored: number }) => scored)], [960, 8, [960, 400]])
})

test.run()
