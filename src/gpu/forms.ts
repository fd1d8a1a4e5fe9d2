// Whose kernel forms a device takes: its own, unless the program or KERNELGRAD_FORMS names another's, as tests and a
// look at what a GPU would run do.
import { formsSetting } from '#platform'
import { ConfigError } from '../errors.ts'
import type { AdapterFound } from './adapter.ts'

/** What an adapter is: forms of kernels and sizes of tiles suit one kind or another. */
export type AdapterKind = AdapterFound['kind']

/** Whose forms of kernels are taken. Every form computes the same function, on any adapter that has what it needs. */
export interface Forms {
  /** The kind of adapter they were made for. */
  kind: AdapterKind
  /** The maker of that adapter as WebGPU names it ('nvidia', 'amd', 'apple', 'intel', 'qualcomm', 'arm'), or ''. */
  vendor: string
}

/** Lanes that a subgroup has at least and at most. */
export interface SubgroupSizes {
  /** Powers of two, from 4 to 128. */
  least: number
  most: number
}

const KINDS: Record<string, AdapterKind> = {
  hardware: 'hardware',
  system: 'system software',
  embedded: 'embedded software',
}

/** The forms named by `choice`, or the setting KERNELGRAD_FORMS, or the adapter's own. */
export function formsFor(found: AdapterFound, choice?: string): Forms {
  const wanted = choice === undefined ? formsSetting() : choice
  if (wanted === undefined) return { kind: found.kind, vendor: found.adapter.info.vendor }
  const [word = '', vendor, ...rest] = typeof wanted === 'string' ? wanted.split('/') : []
  const kind = Object.hasOwn(KINDS, word) ? KINDS[word] : undefined
  if (!kind || rest.length || vendor === '')
    throw new ConfigError(
      `forms is '${wanted}', expected ${Object.keys(KINDS).join(', ')}, or one of them and a vendor, as in 'hardware/nvidia'`,
    )
  return { kind, vendor: vendor ?? '' }
}

/** Sizes of a device's subgroups; undefined where it has not the feature. */
export function subgroupsOf(found: AdapterFound, device: GPUDevice): SubgroupSizes | undefined {
  if (!device.features.has('subgroups')) return undefined
  const { subgroupMinSize, subgroupMaxSize } = found.adapter.info
  return { least: subgroupMinSize, most: subgroupMaxSize }
}
