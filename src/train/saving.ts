// What a run leaves on disk while it goes on: its folder, its checkpoints, and which of them stay.
import { files } from '#files'
import { loadWeights } from './checkpoint.ts'
import {
  checkpointPath,
  lockOutputFolder,
  prepareOutputFolder,
  rotateCheckpoints,
  WEIGHTS_FILE,
} from './checkpoint-folder.ts'
import { type Fingerprints, fingerprints } from './fingerprint.ts'
import { agreeOnWeights } from './ranks-agree.ts'
import type { TeacherPrint } from './teacher.ts'
import { type Running, saveCheckpoint } from './trainer-checkpoint.ts'
import type { CheckedOptions } from './trainer-options.ts'
import type { TrainerState } from './trainer-state.ts'

/** The checkpoints of one run; without a folder, none are saved. */
export class Saving {
  readonly output: string | undefined
  /** What the data is, for the checkpoints to come. */
  data: Fingerprints = { train: [], evaluation: [] }
  readonly #options: CheckedOptions
  #release: (() => Promise<void>) | undefined

  constructor(options: CheckedOptions) {
    this.output = options.output
    this.#options = options
  }

  /** Takes the folder, makes it ready, and notes what the data is where a checkpoint will hold it or is compared with it. */
  async prepare(resuming: boolean, teachers: TeacherPrint[]): Promise<void> {
    const { train, evaluation, stageData = [], locked, ranks } = this.#options
    const resume = { resume: resuming }
    // Only rank 0 writes there; the others look once it is ready.
    if (ranks.rank === 0 && this.output) {
      if (locked) await prepareOutputFolder(this.output, resume)
      else this.#release = await lockOutputFolder(this.output, resume)
    }
    await ranks.barrier()
    if (this.output || resuming || ranks.size > 1) {
      this.data = await fingerprints(train, evaluation)
      const own = stageData.map(data => (data ? fingerprints(data.train, data.evaluation) : null))
      if (own.length) this.data.stages = await Promise.all(own)
      // Of a stream, each number of ranks has an order of its own.
      for (const one of ranks.size > 1 ? [this.data, ...(this.data.stages ?? [])] : [])
        if (one?.order) one.order += `, for ${ranks.size} ranks`
    }
    if (teachers.length) this.data.teachers = teachers
  }

  /**
   * Saves a checkpoint and removes old ones. Only one that is `onPlan` can be the best: an interruption must not change what a
   * run ends with.
   * @returns its folder.
   */
  async save(
    output: string,
    running: Omit<Running, 'model' | 'config' | 'data' | 'ranks'>,
    onPlan: boolean,
  ): Promise<string> {
    const { model, config, ranks } = this.#options
    const { state } = running
    const folder = checkpointPath(output, state.global_step)
    if (onPlan && state.best_global_step === state.global_step) state.best_model_checkpoint = folder
    if (ranks.size > 1) await agreeOnWeights(ranks, model, state.global_step)
    if (ranks.rank === 0) {
      await saveCheckpoint(folder, { ...running, model, config, data: this.data, ranks: ranks.size })
      await rotateCheckpoints(output, config.save_total_limit, [folder, this.#bestToKeep(state)])
    }
    await ranks.barrier()
    return folder
  }

  /** The end of a run: the best weights are loaded where that is asked for, and what was kept for it until now goes. */
  async finish(state: TrainerState): Promise<void> {
    const { model, config, ranks } = this.#options
    const best = this.#bestToKeep(state)
    if (config.load_best_model_at_end && best) await loadWeights(model, files.join(best, WEIGHTS_FILE))
    // Until now the newest was kept too; with a limit of one, the best is what counts.
    await ranks.barrier()
    if (ranks.rank === 0 && this.output && best)
      await rotateCheckpoints(this.output, config.save_total_limit, [best])
  }

  /** Gives the folder back. */
  async close(): Promise<void> {
    await this.#release?.()
    this.#release = undefined
  }

  #bestToKeep({ best_model_checkpoint }: TrainerState): string | null {
    const { load_best_model_at_end, metric_for_best_model } = this.#options.config
    return load_best_model_at_end || metric_for_best_model ? best_model_checkpoint : null
  }
}
