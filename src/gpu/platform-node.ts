// What differs between Node and the browser: where WebGPU comes from, how to wait without burning a core, and where
// measurements are kept.
import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { ConfigError } from '../errors.ts'
import { clearIfDead, makeInCache, passingCacheName, readInCache } from './cache-folder.ts'
import { openEmbedded, vulkanLoaderPresent } from './embedded.ts'

/** One way to get a WebGPU implementation, tried in order. */
export interface Source {
  kind: 'native' | 'embedded'
  /** Returns the implementation, or a sentence saying why it is not to be had. */
  open(): Promise<GPU | string>
}

/** Held for the life of the process: the bindings crash once their GPU object has been garbage-collected. */
const instances: GPU[] = []

async function dawn(): Promise<GPU> {
  const { create, globals } = await import('webgpu')
  if (!instances.length) Object.assign(globalThis, globals)
  const toggles = matrixUnitsAllowed() ? ['enable-dawn-features=allow_unsafe_apis'] : []
  // Time stamps are a tenth of a millisecond apart otherwise, and a launch takes less.
  const instance = create(['disable-dawn-features=timestamp_quantization', ...toggles])
  instances.push(instance)
  return instance
}

/** The setting `KERNELGRAD_MATRIX_UNITS`: whether Dawn may offer what it holds to be an experiment. */
function matrixUnitsAllowed(): boolean {
  const setting = process.env.KERNELGRAD_MATRIX_UNITS ?? 'off'
  if (setting !== 'on' && setting !== 'off')
    throw new ConfigError(`KERNELGRAD_MATRIX_UNITS is '${setting}', expected 'on' or 'off'`)
  return setting === 'on'
}

/** Where this platform finds WebGPU, best first: the machine's own driver, then the software adapter from npm. */
export const sources: Source[] = [
  {
    kind: 'native',
    async open() {
      if (process.platform === 'linux' && !vulkanLoaderPresent()) return 'no Vulkan loader (libvulkan.so.1)'
      return dawn()
    },
  },
  {
    kind: 'embedded',
    async open() {
      const problem = openEmbedded()
      return problem ?? dawn()
    },
  },
]

/** The setting `KERNELGRAD_ADAPTER`. */
export const adapterSetting = (): string | undefined => process.env.KERNELGRAD_ADAPTER

/** The setting `KERNELGRAD_FORMS`. */
export const formsSetting = (): string | undefined => process.env.KERNELGRAD_FORMS

/** The setting `KERNELGRAD_TUNING`. */
export const tuningSetting = (): string | undefined => process.env.KERNELGRAD_TUNING

/** The processor's model: a cache folder may be shared by machines, and on software adapters it computes. */
export const processor = (): string => cpus()[0]?.model.trim() ?? ''

/** What is kept can be read at any time. */
export const prepareCache = async (): Promise<void> => {}

/** A file of the cache folder, or undefined where there is none. */
export const readCache = (name: string): string | undefined => readInCache(name)

/** Writes a file of the cache folder, in one piece or not at all; returns its path. */
export async function writeCache(name: string, text: string): Promise<string> {
  return makeInCache('what was measured', folder => {
    const path = join(folder, name)
    for (const other of readdirSync(folder)) if (other.startsWith(`${name}.`)) clearIfDead(folder, other)
    const temporary = passingCacheName(path)
    try {
      const file = openSync(temporary, 'wx')
      try {
        writeFileSync(file, text)
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
      renameSync(temporary, path)
    } finally {
      rmSync(temporary, { force: true })
    }
    return path
  })
}

const sleeper = new Int32Array(new SharedArrayBuffer(4))

/**
 * Awaits a WebGPU promise. The bindings' own await spins the event loop and takes a core from a software adapter's
 * threads, so this sleeps between turns of the loop.
 */
export async function wait<T>(promise: Promise<T>): Promise<T> {
  let settled = false
  const done = () => {
    settled = true
  }
  promise.then(done, done)
  while (!settled) {
    Atomics.wait(sleeper, 0, 0, 0.2)
    await new Promise(resolve => setImmediate(resolve))
  }
  return promise
}
