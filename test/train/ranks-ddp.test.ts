// Two ranks against torch.nn.parallel.DistributedDataParallel with gloo: frozen losses (tools/make_ddp_golden.py).
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readRows } from '../../src/cli/inputs.ts'
import { parseTrainerConfig } from '../../src/config/index.ts'
import { createModel, type Model, parseConfiguration } from '../../src/models/index.ts'
import { runLocal } from '../../src/ranks/index.ts'
import { loadWeights, Trainer } from '../../src/train/index.ts'
import { openTestGpu } from '../support/gpu.ts'
import { far } from '../support/rank-runs.ts'

const gpu = await openTestGpu()
const read = (name: string) => JSON.parse(readFileSync(`test/golden/trainer/${name}`, 'utf8'))
const ROWS = 293
/** Losses of 8 rows, and of 5 at an epoch's end. */
const rowsOf = (step: number) => Math.min(8, ROWS - 8 * (step % Math.ceil(ROWS / 8)))

test('losses over 111 steps are PyTorch’s', async () => {
  const { losses: frozen, ranks: size, batch, epochs, ...rates } = read('ddp.json')
  const { bert, features, mlp, num_labels } = read('case.json').config
  const modelConfig = parseConfiguration(
    {
      features_config: features,
      mlp_config: mlp,
      num_labels,
      pretrained_model_config: { ...bert, dropout: 0, attention_dropout: 0 },
    },
    'case.json',
  )
  const settings = {
    ...rates,
    num_train_epochs: epochs,
    per_device_train_batch_size: batch / size,
    gradient_accumulation_steps: 1,
    lr_scheduler_type: 'constant',
    weight_decay: 0,
    shuffle: false,
    logging_steps: 1,
    eval_steps: null,
    save_steps: null,
    load_best_model_at_end: false,
  }
  const config = parseTrainerConfig(settings, 'ddp.json')
  const ends = await runLocal(size, async ranks => {
    const model: Model = createModel(modelConfig).to(gpu)
    await loadWeights(model, 'test/golden/trainer/weights.safetensors')
    const train = await readRows(['test/golden/trainer/train.parquet'], model, config)
    const { log_history } = await new Trainer({ model, config, train, ranks }).train()
    model.free()
    return log_history.flatMap(({ loss }) => loss ?? [])
  })
  const expected = frozen[0].map((loss: number, step: number) => {
    const rows = rowsOf(step)
    const own = Math.ceil(rows / size)
    return (loss * own + frozen[1][step] * (rows - own)) / rows
  })
  assert.is(expected.length, 111)
  assert.equal(ends[1], ends[0])
  const off = far(ends[0]!, expected)
  if (process.env.KERNELGRAD_TELL) console.log(`off by ${off}`)
  assert.ok(off <= 1e-5, `losses are off by ${off}`)
})

test.run()
