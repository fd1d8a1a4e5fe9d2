// A student's step alone, beside its teacher, and on columns of its teacher's logits: `node dist/bench/distillation.js [--adapter=system]`.
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseTrainerConfig } from '../src/config/index.ts'
import { loadDataset } from '../src/data/index.ts'
import { writeSyntheticKdd } from '../src/datasets/index.ts'
import { openGpu } from '../src/gpu/index.ts'
import { createModel, type Model } from '../src/models/index.ts'
import { predict, saveModel, Trainer, trainingReads } from '../src/train/index.ts'

const STEPS = 12
const WARM = 4

/** Prints seconds of a step, its standard deviation over steps, and what the device holds at most after one. */
export async function main(): Promise<void> {
  const adapter = process.argv.find(arg => arg.startsWith('--adapter='))?.slice('--adapter='.length)
  const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-distillation-'))
  const gpu = await openGpu({ adapter })
  try {
    const data = await writeSyntheticKdd({ folder, trainRows: 64 * STEPS, testRows: 64, seed: 1 })
    const json = (n_layers: number, dim: number) => ({
      features_config: data.features_config,
      mlp_config: [{ hidden_size: 64, activation_function: 'ReLU' }],
      pretrained_model_config: {
        vocab_size: data.vocabSize,
        pad_token_id: data.padTokenId,
        dim,
        n_heads: dim / 32,
        n_layers,
        hidden_dim: 4 * dim,
        max_position_embeddings: 64,
      },
    })
    const made = (layers: number, dim: number) =>
      createModel<Model>(json(layers, dim) as never).to(gpu, { seed: layers })
    const teacher = made(6, 256)
    await saveModel(teacher, join(folder, 'teacher'))
    const rows = await loadDataset(data.train, { inputs: teacher.inputs })
    const logits = await predict(teacher, rows, { output: 'logits' })
    teacher.free()
    const of = (c: number) => Float32Array.from({ length: rows.length }, (_, i) => logits[2 * i + c]!)
    const taught = { ...rows, floats: { ...rows.floats, t0: of(0), t1: of(1) } }
    process.stdout.write(
      `${gpu.adapter.line}; ${cpus()[0]!.model}\nteacher 6 x 256, student 2 x 128, 64 rows a step\n`,
    )
    const ways = {
      alone: null,
      columns: { columns: ['t0', 't1'] },
      teacher: { teacher: join(folder, 'teacher') },
    }
    for (const [way, distillation] of Object.entries(ways)) {
      const config = parseTrainerConfig(
        {
          gradient_accumulation_steps: 1,
          max_steps: STEPS,
          eval_steps: null,
          save_steps: null,
          load_best_model_at_end: false,
          distillation,
        },
        'trainer',
      )
      const model = made(2, 128)
      const train =
        way === 'teacher' ? await loadDataset(data.train, await trainingReads(model, config)) : taught
      const seconds: number[] = []
      let [last, bytes] = [0, 0]
      const onStepEnd = async ({ state }: { state: { global_step: number } }) => {
        await gpu.done()
        bytes = Math.max(bytes, gpu.memory.inUse)
        const now = performance.now()
        if (state.global_step > WARM) seconds.push((now - last) / 1000)
        last = now
      }
      await new Trainer({ model, config, train, callbacks: [{ onStepEnd }] }).train()
      model.free()
      const mean = seconds.reduce((sum, s) => sum + s, 0) / seconds.length
      const sd = Math.sqrt(seconds.reduce((sum, s) => sum + (s - mean) ** 2, 0) / (seconds.length - 1))
      process.stdout.write(
        `${way}: ${mean.toFixed(3)} s a step (sd ${sd.toFixed(3)}), ${(bytes / 2 ** 20).toFixed(1)} MiB\n`,
      )
    }
  } finally {
    gpu.close()
    rmSync(folder, { recursive: true })
  }
}

await main()
