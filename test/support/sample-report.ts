// Reports of runs that never were, with everything in them.
import { parseTrainingConfig } from '../../src/config/index.ts'
import { type LogEntry, type RunReport, runReport, ScoreAccumulator } from '../../src/train/index.ts'

/** A run whose scores say more with higher `skill` (0 nothing, 1 a lot). */
export function sampleReport(name: string, skill: number, { steps = 2000 } = {}): RunReport {
  let state = name.length * 977 + 5
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  const noise = () => random() + random() + random() - 1.5
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
  const evaluate = (learned: number) => {
    const scores = new ScoreAccumulator()
    for (let i = 0; i < 20; i++) {
      const truth = Array.from({ length: 300 }, () => -3 + 1.6 * noise())
      const labels = Uint8Array.from(truth, z => Number(random() < sigmoid(z)))
      const seen = (z: number) => sigmoid(-2.8 + learned * (z + 3) + (1 - learned) * 0.8 * noise())
      scores.add(labels, Float32Array.from(truth, seen))
    }
    return scores
  }
  const log: LogEntry[] = []
  for (let step = 50; step <= steps; step += 50) {
    const at = { step, epoch: (2 * step) / steps }
    const learned = 1 - Math.exp(-step / 400)
    log.push({
      loss: 0.32 - 0.1 * skill * learned + 0.02 * noise(),
      grad_norm: 0.4 + 0.2 * random(),
      learning_rate: 5e-4 * (1 - step / steps),
      learning_rate_encoder: 5e-4 * (1 - step / steps),
      learning_rate_other: 1e-3 * (1 - step / steps),
      ...at,
    } as LogEntry)
    if (step % 500) continue
    const metrics = evaluate(skill * learned).result()
    const entries = Object.entries({ loss: metrics.log_loss, ...metrics }).map(([key, value]) => [
      `eval_${key}`,
      value,
    ])
    log.push({ ...Object.fromEntries(entries), ...at })
  }
  const scores = evaluate(skill)
  const features_config = {
    tokenized_title: { dtype: 'token_id' as const },
    gender: { dtype: 'categorical' as const, vocab_size: 4, embedding_size: 2 },
  }
  const pretrained_model_config = { vocab_size: 1000, dim: 64, n_heads: 4, n_layers: 2, hidden_dim: 128 }
  const trainer = { learning_rate: skill / 1000, seed: 7 }
  return runReport({
    name,
    adapter:
      'adapter: mesa lavapipe llvmpipe (LLVM 19.1.7, 256 bits), system software (no usable hardware adapter)',
    config: parseTrainingConfig({ features_config, pretrained_model_config, trainer }, name),
    model: { architecture: 'TextTabularModel', parameters: 137_990 },
    rows: { train: 24_000, evaluation: 6000 },
    state: { global_step: steps, epoch: 2, log_history: log },
    seconds: 190,
    timings: { data: 6.2, record: 21, wait: 118, evaluate: 30.5, save: 4.1 },
    metrics: { loss: scores.result().log_loss, ...scores.result() },
    curves: scores.curves(),
  })
}
