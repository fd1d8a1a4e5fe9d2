import type { ParquetFile } from '../../data/index.ts'
import type { SideName } from '../../models/index.ts'
import { expectStorage } from '../../serve/embed.ts'
import { expectTwoSidedKind } from '../../serve/fingerprint.ts'
import { embedToFile, type VectorStorage } from '../../serve/index.ts'
import { useArchitecture } from '../architecture.ts'
import { checkOutputs, folderInputs, inputs, makeFolderOf } from '../outputs.ts'
import { createProgress } from '../progress.ts'
import { talkStream } from '../say.ts'
import { checkModel, openRows, type ScoreOptions, withModel } from '../score.ts'

export interface EmbedCommandOptions extends ScoreOptions {
  data: string[]
  side: SideName
  out: string
  id?: string
  storage: VectorStorage
  json?: boolean
}

/** Writes the vectors of one side of a two-sided model. */
export async function run(options: EmbedCommandOptions): Promise<void> {
  const { data, out, side, id, storage, batchSize, truncate, json } = options
  const stream = talkStream(json)
  if (options.architecture) await useArchitecture(options.architecture)
  const checked = await checkModel(options.model)
  expectTwoSidedKind('embed', checked)
  expectStorage('embed', checked, storage)
  const files: ParquetFile[] = []
  for (const path of data) files.push(await openRows(path))
  const reads = [...inputs('--data', data), ...(await folderInputs('--model', options.model))]
  await checkOutputs({ reads, writes: [out] })
  await makeFolderOf(out)
  const total = files.reduce((sum, { rows }) => sum + rows, 0)
  const rows = await withModel(options, stream, async model => {
    expectTwoSidedKind('embed', model)
    const progress = createProgress({ total, label: 'row', stream })
    const onBatch = (done: number) => progress.update({ done, rows: done, totalRows: total })
    try {
      const given = {
        side,
        storage,
        batchSize,
        truncate: truncate ?? false,
        onBatch,
        ...(id !== undefined && { id }),
      }
      return await embedToFile(model, files, out, given)
    } finally {
      progress.stop()
    }
  })
  const size = checked.vectorSize
  if (json) process.stdout.write(`${JSON.stringify({ out, side, rows, size, storage })}\n`)
  else stream.write(`\n${rows} vectors of ${size} numbers in ${out}\n`)
}
