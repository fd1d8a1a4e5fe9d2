// The trainer in mixed precision, on data with a known signal.
// Waits for CI: it trains in pairs

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readRows } from '../../src/cli/inputs.ts'
import { parseTrainingConfig } from '../../src/config/index.ts'
import { writeSyntheticKdd } from '../../src/datasets/index.ts'
import { createModel } from '../../src/models/index.ts'
import { evaluate, Trainer } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-fp16-'))
const data = await writeSyntheticKdd({ folder, trainRows: 640, testRows: 200, seed: 1 })

async function train(fp16: boolean, embeddingScale = 1) {
  const { trainer, ...config } = parseTrainingConfig(
    {
      features_config: data.features_config,
      mlp_config: [{ hidden_size: 16, activation_function: 'ReLU', dropout_p: 0.1 }],
      pretrained_model_config: {
        vocab_size: data.vocabSize,
        pad_token_id: data.padTokenId,
        dim: 16,
        n_heads: 2,
        n_layers: 1,
        hidden_dim: 32,
        max_position_embeddings: 32,
        initializer_range: 0.02 * embeddingScale,
      },
      trainer: {
        num_train_epochs: 2,
        per_device_train_batch_size: 32,
        encoder_learning_rate: 1e-3,
        eval_steps: null,
        save_steps: null,
        logging_steps: 5,
        load_best_model_at_end: false,
        fp16,
      },
    },
    'the test',
  )
  const rows = await readRows([data.train], createModel(config), trainer)
  const held = await readRows([data.test], createModel(config), trainer)
  const model = createModel(config).to(gpu, { seed: 5 })
  const before = gpu.memory.buffers
  const made = new Trainer({ model, config: trainer, train: rows })
  try {
    const state = await made.train()
    const { loss } = await evaluate(model, held)
    return { state, loss, scaled: made.scaler !== undefined, kept: gpu.memory.buffers - before }
  } finally {
    model.free()
  }
}

test('fp16: true trains to the loss of float32, and logs unscaled gradient norms', async () => {
  const [exact, half] = [await train(false), await train(true)]
  assert.equal([exact.scaled, half.scaled], [false, true])
  assert.is(half.state.global_step, exact.state.global_step)
  assert.is.not(half.loss, exact.loss)
  assert.ok(Math.abs(half.loss - exact.loss) < 0.005, `${half.loss} against ${exact.loss}`)
  const norms = (run: typeof exact) => run.state.log_history.flatMap(entry => entry.grad_norm ?? [])
  for (const [i, norm] of norms(exact).entries())
    assert.ok(Math.abs(norms(half)[i]! - norm) < 0.1 * norm, `norm ${norms(half)[i]} against ${norm}`)
  assert.is(exact.kept, 0)
  assert.is(half.kept, 2, 'the f16 copy of the weights and its table live as long as the model')
})

test('activations beyond the range of f16 are an error that offers float32', async () => {
  // Weights of this size make attention values of more than 65504.
  let message = ''
  try {
    await train(true, 1e6)
  } catch (error) {
    message = (error as Error).message
  }
  assert.match(message, /the loss is not a number at step 1; try float32 \(fp16: false\)/)
})

test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})
test.run()
