// Saves checkpoints in a loop, as a trainer does but without a device; tells each that is whole.
import {
  type CheckpointFile,
  checkpointPath,
  damageOf,
  listCheckpoints,
  prepareOutputFolder,
  rotateCheckpoints,
  writeFolder,
} from '../../src/train/checkpoint-folder.ts'

/** Files of a checkpoint whose content says which step it is. */
function checkpointFiles(step: number): CheckpointFile[] {
  const values = new Uint8Array(Float32Array.from({ length: 40_000 }, (_, i) => step + i).buffer)
  const pieces = [values.subarray(0, 90_000), values.subarray(90_000)]
  const tensors = [{ name: 'weight', dtype: 'F32' as const, shape: [40_000], chunks: pieces }]
  return [
    { name: 'model.safetensors', tensors },
    { name: 'optimizer.safetensors', tensors },
    { name: 'trainer_state.json', json: { global_step: step } },
  ]
}

/** Checks the checkpoints that are there, and saves more until the process, or the worker, is killed. */
export async function saveForever(
  output: string,
  kept: number,
  tell: (text: string) => void,
): Promise<never> {
  await prepareOutputFolder(output, { resume: true })
  const before = await listCheckpoints(output)
  for (const { folder } of before) {
    const damage = await damageOf(folder)
    if (damage !== undefined) throw new Error(`${folder}: ${damage}`)
  }
  tell(`found ${before.map(({ step }) => step).join()}\n`)
  for (let step = (before.at(-1)?.step ?? 0) + 1; ; step++) {
    tell(`saving ${step}\n`)
    // Every other one twice: a run that goes on from an older checkpoint replaces newer ones.
    for (let i = 0; i < 1 + (step % 2); i++)
      await writeFolder(checkpointPath(output, step), checkpointFiles(step))
    tell(`saved ${step}\n`)
    await rotateCheckpoints(output, kept, [checkpointPath(output, step)])
  }
}
