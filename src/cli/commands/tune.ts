import { openGpu } from '../../gpu/index.ts'
import { createModel, tokenizerOf } from '../../models/index.ts'
import { tune } from '../../train/index.ts'
import { useArchitecture } from '../architecture.ts'
import { readRows } from '../inputs.ts'
import { talkStream } from '../say.ts'
import { formatTable } from '../table.ts'
import { readTrainingConfig } from '../training-config.ts'

export interface TuneOptions {
  config: string
  architecture?: string
  features?: string
  data: string
  truncate?: boolean
  adapter?: string
  json?: boolean
}

/** Times the kernel forms for the shapes of a model and its batches, and keeps the fastest for later runs. */
export async function run({
  config: path,
  data: file,
  adapter,
  json,
  ...options
}: TuneOptions): Promise<void> {
  const stream = talkStream(json)
  const architecture = options.architecture && (await useArchitecture(options.architecture))
  const { trainer, ...config } = await readTrainingConfig(path, {
    features: options.features,
    truncate: options.truncate,
    architecture,
    note: text => stream.write(`note: ${text}\n`),
  })
  const model = createModel(config)
  model.tokenizer = await tokenizerOf(model, config.model_name)
  const data = await readRows([file], model, trainer)
  const gpu = await openGpu({ adapter })
  try {
    stream.write(`${gpu.adapter.line}\n`)
    model.to(gpu)
    const { tuned, path: stored } = await tune(model, data, {
      batchSize: trainer.per_device_train_batch_size,
      truncate: trainer.truncate,
      onClass(_, index, count) {
        if (stream.isTTY) stream.write(`\rtimed ${index} of ${count} classes of shapes`)
      },
    })
    if (stream.isTTY) stream.write('\n')
    if (json) {
      process.stdout.write(
        `${JSON.stringify({ adapter: gpu.adapter.line, stored: stored ?? null, tuned })}\n`,
      )
      return
    }
    const rows = tuned.map(({ shapeClass, form, ms, builtIn, builtInMs }) => [
      shapeClass,
      builtIn,
      builtInMs.toPrecision(3),
      form === builtIn ? '' : form,
      form === builtIn ? '' : ms.toPrecision(3),
    ])
    stream.write(`\n${formatTable(['shapes', 'built-in', 'ms', 'faster', 'ms'], rows)}\n`)
    stream.write(`\n${stored ? `kept in ${stored}` : 'KERNELGRAD_TUNING is off: nothing is kept'}\n`)
  } finally {
    gpu.close()
  }
}
