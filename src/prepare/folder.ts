// Where a model's preparation lies: in its folder, or, for a checkpoint of a run, in the run's.
import { files } from '#files'
import { isThere } from '../data/files.ts'
import { PREPARATION_FILE } from './document.ts'

/** The folder that holds the preparation of the model in `model`, or undefined where it has none. */
export async function preparationFolder(model: string): Promise<string | undefined> {
  const run = /^checkpoint-\d+$/.test(files.basename(model)) ? [files.dirname(model)] : []
  for (const folder of [model, ...run]) if (await isThere(files.join(folder, PREPARATION_FILE))) return folder
  return undefined
}
