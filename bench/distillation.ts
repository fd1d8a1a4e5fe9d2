// A student's step alone, beside its teacher, and on columns of its teacher's logits.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseTrainerConfig } from '../src/config/index.ts'
import { loadDataset } from '../src/data/index.ts'
import { writeSyntheticKdd } from '../src/datasets/index.ts'
import type { Gpu } from '../src/gpu/index.ts'
import { createModel, type Model } from '../src/models/index.ts'
import { predict, saveModel, Trainer, trainingReads } from '../src/train/index.ts'

const WARM = 4

/** A student's step, one way it is taught. */
export interface DistillationRow {
  way: 'alone' | 'columns' | 'teacher'
  /** Mean and standard deviation over the steps after the first four. */
  stepSeconds: number
  sd: number
  /** What the device holds at most after a step, with nothing else on it. */
  bytes: number
}

/** Encoders' layers and sizes, rows of a batch, and steps. */
const SIZES = {
  full: { teacher: [6, 256], student: [2, 128], rows: 64, steps: 12 },
  quick: { teacher: [2, 64], student: [1, 32], rows: 8, steps: 6 },
} as const

export async function benchDistillation(gpu: Gpu, { quick }: { quick: boolean }): Promise<DistillationRow[]> {
  const size = SIZES[quick ? 'quick' : 'full']
  const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-distillation-'))
  try {
    const trainRows = size.rows * size.steps
    const data = await writeSyntheticKdd({ folder, trainRows, testRows: size.rows, seed: 1 })
    const made = ([n_layers, dim]: readonly [number, number]) =>
      createModel<Model>({
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
      } as never).to(gpu, { seed: n_layers })
    const teacher = made(size.teacher)
    await saveModel(teacher, join(folder, 'teacher'))
    const rows = await loadDataset(data.train, { inputs: teacher.inputs })
    const logits = await predict(teacher, rows, { output: 'logits' })
    teacher.free()
    const of = (c: number) => Float32Array.from({ length: rows.length }, (_, i) => logits[2 * i + c]!)
    const taught = { ...rows, floats: { ...rows.floats, t0: of(0), t1: of(1) } }
    const ways = {
      alone: null,
      columns: { columns: ['t0', 't1'] },
      teacher: { teacher: join(folder, 'teacher') },
    }
    const results: DistillationRow[] = []
    for (const [way, distillation] of Object.entries(ways)) {
      const config = parseTrainerConfig(
        {
          per_device_train_batch_size: size.rows,
          gradient_accumulation_steps: 1,
          max_steps: size.steps,
          eval_steps: null,
          save_steps: null,
          load_best_model_at_end: false,
          distillation,
        },
        'trainer',
      )
      const model = made(size.student)
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
      const stepSeconds = seconds.reduce((sum, s) => sum + s, 0) / seconds.length
      const sd = Math.sqrt(seconds.reduce((sum, s) => sum + (s - stepSeconds) ** 2, 0) / (seconds.length - 1))
      results.push({ way: way as DistillationRow['way'], stepSeconds, sd, bytes })
    }
    return results
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export const distillationTable = (rows: DistillationRow[]): string =>
  rows
    .map(
      ({ way, stepSeconds, sd, bytes }) =>
        `${way.padEnd(8)} ${stepSeconds.toFixed(3)} s a step (sd ${sd.toFixed(3)}), ${(bytes / 2 ** 20).toFixed(1)} MiB`,
    )
    .join('\n')
