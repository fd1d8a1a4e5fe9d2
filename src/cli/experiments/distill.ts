// Distillation: a student whose towers can be kept learns from a teacher that reads both texts at once.
import type { TextWorldData } from '../../datasets/index.ts'
import { type Bench, trained } from './bench.ts'
import { atLeast, atMost, type Experiment, gaps, valuesOf } from './experiment.ts'
import { type PlantedOptions, runExperiment } from './run.ts'
import { batchOf, crossEncoder, MLP, pretrain, textRows } from './text-cross-encoder.ts'

const STUDENT_EPOCHS = 8
const QUICK_STUDENT_EPOCHS = 3

const experiment: Experiment = {
  name: 'distill',
  title: 'Distillation on the text world: a student with towers of its own, on clicks and on its teacher',
  source: 'PyTorch: one seed; best possible .851',
  rows: [
    { name: 'teacher', title: 'teacher: pretrained cross encoder', recorded: 0.787 },
    { name: 'clicks', title: 'student on clicks', recorded: 0.738 },
    { name: 'distilled', title: 'student on the teacher’s scores', recorded: 0.79 },
  ],
  async trial(bench) {
    const data = await textRows(bench)
    const { folder: pretrained } = await pretrain(bench, data)
    const { folder: teacher, auc } = await crossEncoder(bench, data, {
      name: 'teacher',
      train: data.train,
      pretrained,
    })
    const clicks = await student(bench, data, 'clicks', {})
    const distilled = await student(bench, data, 'distilled', taughtBy(teacher))
    return {
      teacher: auc,
      clicks: clicks.auc,
      distilled: distilled.auc,
      soft_loss_left: softLossLeft(bench),
      best_possible: data.bestAuc,
    }
  },
  checks(trials, quick) {
    const [below, above] = [gaps(trials, 'teacher', 'distilled'), gaps(trials, 'distilled', 'clicks')]
    // Of few rows nobody learns much of clicks, but the student does learn what its teacher says of them.
    if (quick) return [atMost('the soft loss falls', valuesOf(trials, 'soft_loss_left'), 0.6)]
    return [
      atMost('the distilled student is within .01 of its teacher', below, 0.01),
      atLeast('it is .03 above the student on clicks', above, 0.03),
    ]
  },
}

/** What the last training's loss came to, as a share of what it began with. */
function softLossLeft({ reports }: Bench): number {
  const losses = reports.at(-1)!.log_history.flatMap(({ loss }) => loss ?? [])
  return losses.at(-1)! / losses[0]!
}

/** The soft loss alone: the clicks that the teacher learned from are not shown again. */
export const taughtBy = (teacher: string) => ({
  distillation: { teacher, loss: 'kl', temperature: 2, alpha: 1 },
})

/**
 * Trains the student, without dropout as the teacher: one layer, both texts through it one by one, and fused behind it with their product
 * and the depth.
 * @returns its folder, and its ROC AUC.
 */
export async function student(
  bench: Bench,
  data: TextWorldData,
  name: string,
  settings: object,
): Promise<{ folder: string; auc: number }> {
  const { separator: _, ...features_config } = data.features_config
  const { folder, metrics } = await trained(bench, {
    name,
    config: {
      architecture: 'LateFusionModel',
      features_config,
      sides: { query: ['tokenized_query'], ad: ['tokenized_ad'] },
      mlp_config: MLP,
      pretrained_model_config: {
        vocab_size: data.vocabSize,
        pad_token_id: data.padTokenId,
        dim: 32,
        n_heads: 4,
        n_layers: 1,
        hidden_dim: 128,
        max_position_embeddings: 64,
        dropout: 0,
        attention_dropout: 0,
      },
    },
    trainer: {
      ...batchOf(bench),
      num_train_epochs: bench.quick ? QUICK_STUDENT_EPOCHS : STUDENT_EPOCHS,
      learning_rate: 2e-3,
      encoder_learning_rate: 1e-3,
      ...settings,
    },
    train: data.train,
    evaluation: data.test,
  })
  return { folder, auc: metrics.roc_auc! }
}

/** `kernelgrad experiment distill`. */
export const run = (options: PlantedOptions): Promise<number> => runExperiment(experiment, options)
