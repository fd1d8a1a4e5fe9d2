// Which adapter: hardware, then the machine's own software adapter, then the embedded one. KERNELGRAD_ADAPTER overrides:
// 'hardware', 'system' (whatever the machine's driver offers) or 'embedded'.
import { adapterSetting, sources } from '#platform'
import { ConfigError, DeviceError } from '../errors.ts'

/** Which adapter to take: the best there is, or only a kind of it. */
export type AdapterChoice = 'auto' | 'hardware' | 'system' | 'embedded'
const CHOICES: AdapterChoice[] = ['auto', 'hardware', 'system', 'embedded']

/** The adapter in use and why. */
export interface AdapterFound {
  /** WebGPU's own object. */
  adapter: GPUAdapter
  /** Which kernel forms and tile sizes suit it depends on this. */
  kind: 'hardware' | 'system software' | 'embedded software'
  /** One line for start-up: adapter, driver, and why this one. */
  line: string
}

/** `choice`, or the setting KERNELGRAD_ADAPTER, or 'auto'. */
function readChoice(choice?: string): AdapterChoice {
  const wanted = choice === undefined ? (adapterSetting() ?? 'auto') : choice
  if (!CHOICES.includes(wanted as AdapterChoice)) {
    throw new ConfigError(`adapter '${wanted}' is unknown; expected one of ${CHOICES.join(', ')}`)
  }
  return wanted as AdapterChoice
}

/** Finds an adapter, or throws a DeviceError that says what was tried and what mends it. */
export async function findAdapter(choice?: string): Promise<AdapterFound> {
  const wanted = readChoice(choice)
  const passed: string[] = []
  for (const source of sources) {
    if (wanted === 'embedded' ? source.kind === 'native' : wanted !== 'auto' && source.kind === 'embedded')
      continue
    const gpu = await source.open()
    if (typeof gpu === 'string') {
      passed.push(gpu)
      continue
    }
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' })
    if (!adapter) {
      passed.push(`no usable ${source.kind} adapter`)
      continue
    }
    const software = adapter.info.isFallbackAdapter
    // Chromium brings the same SwiftShader along; kernels take the same forms there.
    const embedded = source.kind === 'embedded' || adapter.info.architecture === 'swiftshader'
    const kind = embedded ? 'embedded software' : software ? 'system software' : 'hardware'
    if (wanted === 'hardware' && kind !== 'hardware') {
      passed.push(`the native adapter is software (${describe(adapter)})`)
      continue
    }
    const why = wanted === 'auto' ? passed.join('; ') : `asked for '${wanted}'`
    return { adapter, kind, line: `adapter: ${describe(adapter)}, ${kind}${why ? ` (${why})` : ''}` }
  }
  throw new DeviceError(
    `no WebGPU adapter: ${passed.join('; ')}. Install a GPU driver, or the software adapter: npm install @sparticuz/chromium`,
  )
}

function describe({ info }: GPUAdapter): string {
  return [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(' ')
}
