// The notebook, step by step, on a small synthetic table with the same columns: from Parquet files to click probabilities, with
// text and tabular features together and with the text alone.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createModel,
  evaluate,
  loadDataset,
  loadModel,
  type ModelConfig,
  openGpu,
  parseTrainingConfig,
  predict,
  saveModel,
  Trainer,
  type TrainerConfig,
} from 'kernelgrad'
import { writeSyntheticKdd } from 'kernelgrad/datasets'
import { readOptions } from 'kernelgrad/models'
import { clickProbability } from 'kernelgrad/train'

/** Trains both models; returns the metrics of each, and the saved model's click probabilities of the test rows. */
export async function notebook({ trainRows = 6000, testRows = 2000 } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'kernelgrad-notebook-'))
  const gpu = await openGpu()
  console.log(gpu.adapter.line)

  // 1. The data: train.parquet and test.parquet. The notebook makes its own out of the KDD Cup 2012 files.
  const data = await writeSyntheticKdd({ folder, trainRows, testRows, vocabSize: 200, seed: 3 })

  // 2. The features: which columns there are, and how each is read.
  const { features_config } = data
  console.log(features_config)

  // 3. The model: an encoder over the tokens, embeddings of the categories, an MLP over all of it.
  const textTabular: ModelConfig = {
    features_config,
    num_labels: data.numLabels,
    mlp_config: [
      {
        hidden_size: 32,
        dropout_p: 0.1,
        activation_function: 'ReLU',
        normalization_function: 'LayerNorm',
      },
    ],
    pretrained_model_config: {
      vocab_size: data.vocabSize,
      pad_token_id: data.padTokenId,
      dim: 32,
      n_heads: 4,
      n_layers: 1,
      hidden_dim: 64,
      max_position_embeddings: 64,
    },
  }
  // The baseline reads the text alone.
  const textOnly: ModelConfig = {
    architecture: 'DistilBertForSequenceClassification',
    features_config: Object.fromEntries(
      Object.entries(features_config).filter(([, { dtype }]) => dtype === 'token_id'),
    ),
    num_labels: textTabular.num_labels,
    pretrained_model_config: textTabular.pretrained_model_config,
  }

  // 4. The trainer's arguments, under the transformers Trainer's names.
  const trainer: TrainerConfig = {
    num_train_epochs: 2,
    per_device_train_batch_size: 64,
    gradient_accumulation_steps: 1,
    learning_rate: 2e-3,
    encoder_learning_rate: 2e-3,
    eval_steps: null,
    save_steps: null,
    logging_steps: null,
    load_best_model_at_end: false,
    seed: 42,
  }

  const results: Record<string, Record<string, number>> = {}
  let probabilities = new Float32Array(0)
  for (const [name, model] of Object.entries({ text_tabular: textTabular, text_only: textOnly })) {
    const { trainer: config, ...resolved } = parseTrainingConfig({ ...model, trainer }, name)

    // 5. The rows, as typed arrays. A value that cannot be is an error with file, column and row.
    const made = createModel(resolved)
    const reading = readOptions(made)
    const [train, test] = await Promise.all([data.train, data.test].map(path => loadDataset([path], reading)))

    // 6. Training.
    made.to(gpu, { seed: config.seed })
    console.log(`${name}: ${made.numParameters()} parameters`)
    await new Trainer({ model: made, config, train: train! }).train()

    // 7. The metrics, as scikit-learn computes them.
    results[name] = await evaluate(made, test!)

    // 8. Saved under PyTorch's parameter names, loaded again, and asked for the probability of a click.
    await saveModel(made, join(folder, name))
    made.free()
    if (name !== 'text_tabular') continue
    const loaded = await loadModel(gpu, join(folder, name))
    probabilities = clickProbability(await predict(loaded, test!))
    loaded.free()
  }
  console.table(results)

  await rm(folder, { recursive: true })
  gpu.close()
  return { results, probabilities, testProbability: data.testProbability }
}

if (process.argv[1]?.endsWith('notebook.js')) await notebook()
