// Which form of a kernel family a device takes for a class of shapes. Every family has a built-in table; where forms were
// timed on this very adapter (`tune`, or a run of the Trainer), their choice is kept on disk under adapter, driver, library version and
// processor, and is taken instead. A device's choices are read once, when its first kernel asks, and change only through `tune`,
// `settleChoices` and `setChoices`: one choice, one order of summation, the same bits.
import { processor, readCache, tuningSetting, writeCache } from '#platform'
import { expectDevice, shown } from '../check.ts'
import { ConfigError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'
import { fnv1a } from '../hash.ts'
import { VERSION } from '../wgsl/version.ts'

export { VERSION }

/** Form by class of shapes, such as 'matmul NT 1024x1024x1024 444' to 'subgroup64'. @internal */
export type Choices = Record<string, string>

interface Stored {
  adapter: string
  version: string
  processor: string
  choices: Choices
}

const choicesByGpu = new WeakMap<Gpu, Map<string, string>>()

/** Vendor, architecture, device and driver as WebGPU tells them; and whose forms are taken, where they are not its own. */
function adapterKey({ adapter, forms }: Gpu): string {
  const { vendor, architecture, device, description } = adapter.adapter.info
  const own = forms.kind === adapter.kind && forms.vendor === vendor
  const key = [vendor, architecture, device, description].join(' ')
  return own ? key : `${key} with forms of ${forms.kind} ${forms.vendor}`
}

/** Adapter, driver and library version: what, besides the choices, decides the last bits. @internal */
export function bitsKey(gpu: Gpu): string {
  return `${adapterKey(gpu)} ${VERSION}`
}

function fileName(adapter: string): string {
  const key = fnv1a(`${adapter} ${VERSION} ${processor()}`)
  return `tuning-${key.toString(16).padStart(8, '0')}.json`
}

/** What is in use on a device: for checkpoints, which record it. @internal */
export function choicesOf(gpu: Gpu): Choices {
  return Object.fromEntries(mapOf(gpu))
}

/** Replaces what is in use on a device, as when a run goes on from a checkpoint. Nothing is written to disk. @internal */
export function setChoices(gpu: Gpu, choices: Choices): void {
  expectDevice('setChoices: gpu', gpu)
  checkChoices('setChoices', choices)
  choicesByGpu.set(gpu, new Map(Object.entries(choices)))
}

/** The measured choices of a device by class; another map after each change. @internal */
export const measuredChoices = (gpu: Gpu): ReadonlyMap<string, string> => mapOf(gpu)

/** Adds measured choices to a device's and keeps all of them; returns where, unless KERNELGRAD_TUNING says that nothing is kept. @internal */
export async function storeChoices(gpu: Gpu, measured: Choices): Promise<string | undefined> {
  expectDevice('storeChoices: gpu', gpu)
  settleChoices(gpu, measured)
  return keepChoices(gpu, choicesOf(gpu))
}

/** Adds measured choices to a device's; nothing is written. @internal */
export function settleChoices(gpu: Gpu, measured: Choices): void {
  checkChoices('measured choices', measured)
  setChoices(gpu, { ...choicesOf(gpu), ...measured })
}

/** Keeps measured choices, beside those that are, for devices opened later; those in use on this one stay. @internal */
export async function keepChoices(gpu: Gpu, measured: Choices): Promise<string | undefined> {
  if (tuningOf() === 'off') return undefined
  const adapter = adapterKey(gpu)
  const choices = { ...readStored(adapter), ...measured }
  const stored: Stored = { adapter, version: VERSION, processor: processor(), choices }
  return writeCache(fileName(adapter), `${JSON.stringify(stored, null, 2)}\n`)
}

const isChoices = (given: unknown): given is Choices =>
  typeof given === 'object' &&
  given !== null &&
  [Object.prototype, null].includes(Object.getPrototypeOf(given)) &&
  Object.values(given).every(form => typeof form === 'string')

function checkChoices(where: string, given: unknown): void {
  if (isChoices(given)) return
  const what = `${where}: choices are ${shown(given)}`
  throw new ConfigError(`${what}, expected names of forms by class of shapes, as choicesOf() tells them`)
}

function mapOf(gpu: Gpu): Map<string, string> {
  let map = choicesByGpu.get(gpu)
  if (!map) {
    map = new Map(Object.entries(tuningOf() === 'off' ? {} : readStored(adapterKey(gpu))))
    choicesByGpu.set(gpu, map)
  }
  return map
}

/**
 * What KERNELGRAD_TUNING says: 'off' leaves the built-in tables alone with the work, 'stored' takes what was measured before, and with 'on',
 * the default, runs measure too.
 * @internal
 */
export function tuningOf(): 'on' | 'stored' | 'off' {
  const setting = tuningSetting() ?? 'on'
  if (setting !== 'on' && setting !== 'stored' && setting !== 'off')
    throw new ConfigError(`KERNELGRAD_TUNING is '${setting}', expected 'on', 'stored' or 'off'`)
  return setting
}

function readStored(adapter: string): Choices {
  const name = fileName(adapter)
  const text = readCache(name)
  if (text === undefined) return {}
  const refuse = (why: string, cause?: unknown): never => {
    throw new ConfigError(
      `${name} in kernelgrad's cache folder ${why}; delete it, or set KERNELGRAD_TUNING=off`,
      { cause },
    )
  }
  let stored: Partial<Stored> | null
  try {
    stored = JSON.parse(text)
  } catch (error) {
    return refuse('is not valid JSON', error)
  }
  const { choices } = stored ?? {}
  if (!isChoices(choices)) return refuse('holds no kernel choices')
  const same = stored?.adapter === adapter && stored.version === VERSION && stored.processor === processor()
  return same ? choices : {}
}
