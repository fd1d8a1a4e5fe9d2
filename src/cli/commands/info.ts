import { openGpu } from '../../gpu/index.ts'
import { formatTable } from '../table.ts'

export interface InfoOptions {
  adapter?: string
  json?: boolean
}

/** What decides which kernel variants run, and how large a tensor's shards are. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const

/** Prints the adapter that the other commands would use, its optional features and its limits. */
export async function run({ adapter, json }: InfoOptions): Promise<void> {
  const gpu = await openGpu({ adapter })
  try {
    const { line, kind } = gpu.adapter
    const features = [...gpu.features].sort()
    const limits = Object.fromEntries(LIMITS.map(name => [name, gpu.limits[name]]))
    if (json) {
      process.stdout.write(`${JSON.stringify({ adapter: line, kind, features, limits }, null, 2)}\n`)
      return
    }
    process.stdout.write(`${line}\nfeatures in use: ${features.join(', ') || 'none'}\n\n`)
    process.stdout.write(`${formatTable(['limit', 'value'], Object.entries(limits))}\n`)
  } finally {
    gpu.close()
  }
}
