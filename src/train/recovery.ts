// Training that outlives its device: drivers restart, and machines with graphics cards lend them out.
import { expectFunction, expectNumber, expectOptions, NATURAL } from '../check.ts'
import { DeviceLostError } from '../errors.ts'
import { type Gpu, openGpu } from '../gpu/index.ts'
import { listCheckpoints, prepareOutputFolder } from './checkpoint-folder.ts'
import { expectPath } from './checks.ts'

/** Options of `trainWithRecovery`. */
export interface RecoveryOptions {
  /** The run's folder, where its checkpoints are. */
  output: string
  /** What to go on from at the start, as in `TrainOptions`. */
  resumeFromCheckpoint?: boolean | string | undefined
  /** How many lost devices to replace, default 3; the next loss is thrown. */
  recoveries?: number
  /** Opens a device, default `openGpu()`; also each further one. */
  open?: () => Promise<Gpu>
  /** Is told of every device that is replaced, and of the checkpoint that training goes on from, if there is one. */
  onRecovery?: (error: DeviceLostError, recovery: number, checkpoint: string | undefined) => void
}

const OPTIONS = ['output', 'resumeFromCheckpoint', 'recoveries', 'open', 'onRecovery']

function checkOptions(options: RecoveryOptions, train: unknown): void {
  expectOptions('trainWithRecovery: options', options, OPTIONS)
  const { output, recoveries, open, onRecovery } = options
  expectPath('trainWithRecovery: output', output)
  if (recoveries !== undefined) expectNumber('trainWithRecovery: recoveries', recoveries, NATURAL)
  if (open !== undefined) expectFunction('trainWithRecovery: open', open)
  if (onRecovery !== undefined) expectFunction('trainWithRecovery: onRecovery', onRecovery)
  expectFunction('trainWithRecovery: train', train)
}

/**
 * Runs `train` with a device, and where that is lost, again with another one, from the newest checkpoint that the run has saved by then, or from where
 * it began. A checkpoint lies between two steps, so the weights at the end are those of a run that lost nothing, to the bit, on the
 * same adapter. What was logged since the checkpoint is logged again.
 *
 * @example
 * ```ts
 * import { saveModel, TextTabularModel, Trainer } from 'kernelgrad'
 * import { trainWithRecovery } from 'kernelgrad/train'
 *
 * const output = 'runs/mine'
 * await trainWithRecovery({ output }, async (gpu, resumeFromCheckpoint) => {
 *   const model = new TextTabularModel(config).to(gpu, { seed: 1 })
 *   await new Trainer({ model, config: trainer, train: dataset, output }).train({ resumeFromCheckpoint })
 *   await saveModel(model, `${output}/model`)
 * })
 * ```
 *
 * @param train Makes the model anew, with its trainer, and does what needs the device: it is closed when `train` has ended.
 * @throws DeviceLostError when one device more is lost than `recoveries`, and whatever `train` throws otherwise.
 */
export async function trainWithRecovery<T>(
  options: RecoveryOptions,
  train: (gpu: Gpu, resumeFromCheckpoint: boolean | string) => Promise<T>,
): Promise<T> {
  checkOptions(options, train)
  const { output, resumeFromCheckpoint = false, recoveries = 3, open = openGpu, onRecovery } = options
  let from = resumeFromCheckpoint
  for (let recovery = 1; ; recovery++) {
    const gpu = await open()
    try {
      return await train(gpu, from)
    } catch (error) {
      if (!(error instanceof DeviceLostError) || recovery > recoveries) throw error
      await prepareOutputFolder(output, { resume: true }) // where the device was lost before training began
      const newest = (await listCheckpoints(output)).at(-1)?.folder
      if (newest !== undefined) from = true
      onRecovery?.(error, recovery, newest)
    } finally {
      gpu.close()
    }
  }
}
