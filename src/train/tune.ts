import { COUNT, expectFlag, expectFunction, expectNumber, expectOptions } from '../check.ts'
import type { Dataset } from '../data/index.ts'
import { unitsOf } from '../data/lists.ts'
import { type TunedClass, tuneMatmul } from '../kernels/matmul-tuning.ts'
import type { Model } from '../models/index.ts'
import { checkData, expectModel } from './checks.ts'
import { passOver } from './run-tuner.ts'

/**
 * Measures which kernel forms are fastest for a model and its batches on the device it is on, and stores the choices for this
 * adapter, driver, library version and processor. The model's weights and random state stay as they are.
 */
export async function tune(
  model: Model,
  data: Dataset,
  options: {
    batchSize: number
    truncate?: boolean
    onClass?: (tuned: TunedClass, index: number, count: number) => void
  },
): Promise<{ tuned: TunedClass[]; path: string | undefined }> {
  expectModel('tune', model)
  expectOptions('tune: options', options, ['batchSize', 'truncate', 'onClass'])
  const { batchSize, truncate = false, onClass } = options
  expectNumber('tune: batchSize', batchSize, COUNT)
  expectFlag('tune: truncate', truncate)
  if (onClass !== undefined) expectFunction('tune: onClass', onClass)
  checkData('tune: data', data, model)
  const units = unitsOf(data, model.inputs)
  const rows = units.rowsOf(Uint32Array.from({ length: Math.min(batchSize, units.count) }, (_, i) => i))
  const shapes = passOver(model, data, rows, { truncate, fp16: false })()
  return tuneMatmul(model.gpu, shapes, onClass)
}
