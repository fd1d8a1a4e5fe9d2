import { openGpu } from '../../gpu/index.ts'
import { findMpi } from '../../ranks/open.ts'
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

/** What several processes would train over. */
async function mpi() {
  const { libraries, launched, trouble } = await findMpi()
  const names = libraries.map(({ version, path }) => `${version} (${path})`)
  const told = [names.join(', ') || trouble, names.length ? trouble : undefined]
  if (launched) told.push(`this process was started by ${launched.launcher}`)
  return {
    line: `MPI: ${told.filter(part => part !== undefined).join('; ')}`,
    json: { libraries, launcher: launched?.launcher ?? null, trouble: trouble ?? null },
  }
}

/** Prints the adapter that the other commands would use, its optional features and its limits, and which MPI there is. */
export async function run({ adapter, json }: InfoOptions): Promise<void> {
  const gpu = await openGpu({ adapter })
  try {
    const { line, kind } = gpu.adapter
    const features = [...gpu.features].sort()
    const limits = Object.fromEntries(LIMITS.map(name => [name, gpu.limits[name]]))
    const ranks = await mpi()
    if (json) {
      const told = { adapter: line, kind, features, limits, mpi: ranks.json }
      process.stdout.write(`${JSON.stringify(told, null, 2)}\n`)
      return
    }
    process.stdout.write(`${line}\nfeatures in use: ${features.join(', ') || 'none'}\n\n`)
    process.stdout.write(`${formatTable(['limit', 'value'], Object.entries(limits))}\n\n${ranks.line}\n`)
  } finally {
    gpu.close()
  }
}
