// One JSON object a direction: {name, shape, dtype, ms, best, gflops, gbps}.
import { openGpu } from 'kernelgrad/gpu'
import { benchOp } from 'kernelgrad/testing'
import { swiglu } from './swiglu.js'

const quick = process.argv.includes('--quick')
const shape = quick ? [64, 96] : [2048, 3072]
const n = shape[0] * shape[1]
const gpu = await openGpu()
for (const dtype of ['f32', 'f16']) {
  const rows = await benchOp(
    gpu,
    swiglu,
    [
      { shape, dtype },
      { shape, dtype },
    ],
    {
      flops: { forward: 5 * n, backward: 10 * n },
      ...(quick && { budget: 1, sample: 0 }),
    },
  )
  for (const row of rows) console.log(JSON.stringify(row))
}
gpu.close()
