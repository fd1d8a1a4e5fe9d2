// Which evaluation is kept as the best: every figure has a direction, and what has none, or is none, is refused at the start.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseTrainerConfig } from '../../src/config/index.ts'
import { openGpu } from '../../src/gpu/index.ts'
import { FIGURES, figuresOf } from '../../src/metrics/figures.ts'
import { checkBestMetric, noteEvaluation, reconsiderBest } from '../../src/train/best-metric.ts'
import { Evaluation } from '../../src/train/index.ts'
import { newState } from '../../src/train/trainer-state.ts'
import { makeRun } from '../support/small-run.ts'

const gpu = await openGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-best-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})

const settings = (more: object) => parseTrainerConfig({ eval_steps: 1, save_steps: 1, ...more }, 'the test')
const check = (more: object, classes = 2) => checkBestMetric(settings(more), figuresOf(classes))

test('the figures to choose from are those an evaluation gives', () => {
  const two = new Evaluation(2).add(Uint32Array.of(0, 1), Float32Array.of(0.7, 0.3, 0.4, 0.6)).result()
  assert.equal(Object.keys(figuresOf(2)).sort(), Object.keys(two).sort())
  const three = new Evaluation(3).add(Uint32Array.of(2), Float32Array.of(0.2, 0.3, 0.5)).result()
  assert.equal(Object.keys(figuresOf(3)).sort(), Object.keys(three).sort())
})

const FIGURES_OF_TWO = figuresOf(2)
const VALUES = [0.5341, 0.5583, 0.5894, 0.4865]
const DIRECTIONS = {
  loss: 'lower',
  log_loss: 'lower',
  brier: 'lower',
  normalized_entropy: 'lower',
  expected_calibration_error: 'lower',
  roc_auc: 'greater',
  pr_auc: 'greater',
} as const

test('each figure keeps its best evaluation, with eval_ before its name and without', () => {
  for (const [name, better] of Object.entries(DIRECTIONS)) {
    assert.is(FIGURES[name]!.better, better)
    for (const metric_for_best_model of [name, `eval_${name}`]) {
      const config = settings({ metric_for_best_model })
      checkBestMetric(config, FIGURES_OF_TWO)
      const state = newState(gpu, 8)
      for (const [i, value] of VALUES.entries()) {
        state.global_step = 2 * i + 2
        noteEvaluation(state, config, { [`eval_${name}`]: value }, FIGURES_OF_TWO)
        state.log_history.push({ step: state.global_step, epoch: 0, [`eval_${name}`]: value })
      }
      assert.is(state.best_global_step, better === 'lower' ? 8 : 6, name)
      assert.is(state.early_stopping_patience_counter, better === 'lower' ? 0 : 1, name)
      // As a version that took the other direction would have left it.
      Object.assign(state, {
        best_global_step: better === 'lower' ? 6 : 8,
        early_stopping_patience_counter: 9,
      })
      assert.ok(reconsiderBest(state, config, 0, FIGURES_OF_TWO))
      assert.is(state.best_global_step, better === 'lower' ? 8 : 6, name)
      assert.is(state.early_stopping_patience_counter, better === 'lower' ? 0 : 1)
      assert.not(reconsiderBest(state, config, 0, FIGURES_OF_TWO))
    }
  }
})

test('what is no figure, or none of this model, is refused with the list', () => {
  for (const name of ['f1', 'accuracy', 'gauc', 'eval_f1', 'constructor', '', 'eval_eval_loss', 'Loss'])
    assert.throws(
      () => check({ metric_for_best_model: name }),
      new RegExp(
        `^metric_for_best_model is '${name}', expected one of loss, log_loss, roc_auc, pr_auc, normalized_entropy, brier, expected_calibration_error$`,
      ),
    )
  for (const name of ['roc_auc', 'log_loss'])
    assert.throws(() => check({ metric_for_best_model: name }, 3), /expected one of loss, accuracy$/)
  check({ metric_for_best_model: 'accuracy' }, 3)
})

test('what has no direction is refused by name, and so is a direction that is not the figure’s', () => {
  for (const more of [{}, { greater_is_better: true }, { greater_is_better: false }])
    for (const name of ['calibration_ratio', 'eval_calibration_ratio'])
      assert.throws(
        () => check({ metric_for_best_model: name, ...more }),
        new RegExp(
          `^metric_for_best_model is '${name}', which is better neither greater nor lower; expected`,
        ),
      )
  for (const [name, better] of Object.entries(DIRECTIONS)) {
    check({ metric_for_best_model: name, greater_is_better: better === 'greater' })
    assert.throws(
      () => check({ metric_for_best_model: name, greater_is_better: better !== 'greater' }),
      new RegExp(
        `^greater_is_better is .*, and ${name} is better when it is ${better}; leave greater_is_better out$`,
      ),
    )
  }
  assert.throws(() => check({ greater_is_better: true }), /and loss is better when it is lower/)
})

test('the trainer refuses before anything is written', async () => {
  const output = join(folder, 'never')
  for (const more of [{ metric_for_best_model: 'f1' }, { metric_for_best_model: 'calibration_ratio' }]) {
    let message = ''
    await makeRun(gpu, more, { output }).catch(error => {
      message = error.message
    })
    assert.match(message, /^metric_for_best_model is/)
  }
  assert.equal(readdirSync(folder), [])
})

test('an evaluation without a value of the metric is told of, and taken for no best', async () => {
  for (const more of [
    { metric_for_best_model: 'roc_auc' },
    { metric_for_best_model: 'eval_normalized_entropy', load_best_model_at_end: true },
    { metric_for_best_model: 'roc_auc', early_stopping_patience: 1 },
    { metric_for_best_model: 'pr_auc', load_best_model_at_end: true },
    {},
  ]) {
    const warnings: string[] = []
    const { trainer, model } = await makeRun(
      gpu,
      { max_steps: 4, eval_steps: 2, save_steps: 2, ...more },
      {
        output: join(folder, `one-class-${JSON.stringify(more).length}`),
        onWarning: told => warnings.push(told),
      },
      data => ({ ...data, ids: { ...data.ids, label: new Uint32Array(data.length) } }),
    )
    const { best_metric, global_step } = await trainer.train()
    const name = (more as { metric_for_best_model?: string }).metric_for_best_model?.replace('eval_', '')
    if (name === undefined || name === 'pr_auc') assert.equal(warnings, [])
    else {
      assert.is(best_metric, null)
      assert.is(global_step, 'early_stopping_patience' in more ? 2 : 4)
      assert.equal(
        warnings,
        [2, 4]
          .filter(step => step <= global_step)
          .map(
            step =>
              `the evaluation of step ${step} has no ${name}, the metric_for_best_model: it is not taken for the best, and early stopping counts ` +
              'it as one without progress',
          ),
      )
    }
    model.free()
  }
})

test.run()
