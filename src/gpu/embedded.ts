// The software adapter for machines without a GPU driver: SwiftShader out of the npm package @sparticuz/chromium.
// It is unpacked once into a cache folder; the Vulkan loader finds it through VK_ICD_FILENAMES, and where the machine
// has no loader, the package's own is made resident so that Dawn finds it by its soname.
import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { cacheFolders, clearIfDead, isOwn, makeInCache, passingCacheName } from './cache-folder.ts'

const PACKAGE = '@sparticuz/chromium'
const LOADER = 'libvulkan.so.1'
const RTLD_NODELETE = 0x1000

/** Loads a shared library for good. True unless the library cannot be opened. */
function makeResident(path: string): boolean {
  try {
    process.dlopen(
      { exports: {} },
      path,
      constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE,
    )
  } catch (error) {
    // A library that is no Node addon loads, stays resident, and then 'did not self-register': that is success.
    if (!String((error as Error).message).includes('did not self-register')) return false
  }
  return true
}

/** Whether this machine has a Vulkan loader. */
export const vulkanLoaderPresent = (): boolean => makeResident(LOADER)

/** Path of the package's package.json, or an error with code MODULE_NOT_FOUND; its `exports` hide the file, so it is found from the package's entry. */
export function findPackage(): string {
  const require = createRequire(import.meta.url)
  let folder = dirname(require.resolve(PACKAGE))
  while (!existsSync(join(folder, 'bin', 'swiftshader.tar.br'))) {
    if (dirname(folder) === folder) throw new Error(`${PACKAGE} holds no bin/swiftshader.tar.br`)
    folder = dirname(folder)
  }
  return join(folder, 'package.json')
}

/** Unpacks the regular files of a ustar archive: the few files of a known package. */
export function* tarFiles(tar: Uint8Array): Generator<{ name: string; data: Uint8Array }> {
  const text = (from: number, length: number) =>
    String.fromCharCode(...tar.subarray(from, from + length)).replace(/\0.*$/s, '')
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12), 8)
    if (text(at + 156, 1) === '0')
      yield { name: text(at, 100), data: tar.subarray(at + 512, at + 512 + size) }
    at += 512 + Math.ceil(size / 512) * 512
  }
}

const MANIFEST = 'vk_swiftshader_icd.json'
const SUMS = 'checksums.json'
const hash = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')

/** Whether a folder holds every file as it was unpacked: a library that is cut short or altered would crash the process. */
function isWhole(folder: string): boolean {
  try {
    const sums = Object.entries(
      JSON.parse(readFileSync(join(folder, SUMS), 'utf8')) as Record<string, string>,
    )
    const names = sums.map(([name]) => name)
    if (![MANIFEST, LOADER].every(name => names.includes(name))) return false
    return sums.every(([name, sum]) => hash(readFileSync(join(folder, name))) === sum)
  } catch {
    return false // Whatever is missing or cannot be read, it is made anew.
  }
}

/** Unpacks the adapter into `folder`, in place of a damaged one. */
function unpack(archive: string, folder: string): string {
  const [above, name] = [dirname(folder), basename(folder)]
  for (const other of readdirSync(above)) if (other.startsWith(`${name}.`)) clearIfDead(above, other)
  const fresh = passingCacheName(folder)
  const old = passingCacheName(folder)
  try {
    mkdirSync(fresh)
    const sums: Record<string, string> = {}
    const write = (name: string, data: Uint8Array | string) => {
      const file = openSync(join(fresh, name), 'wx')
      try {
        writeFileSync(file, data)
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
    }
    for (const { name, data } of tarFiles(brotliDecompressSync(readFileSync(archive)))) {
      if (!/vulkan|vk_swiftshader/.test(name)) continue
      const own = name.replace(/.*\//, '')
      write(own, data)
      sums[own] = hash(data)
    }
    write(SUMS, JSON.stringify(sums, null, 2))
    try {
      renameSync(fresh, folder)
    } catch (error) {
      if (!['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? ''))
        throw error
      // Another process may have been first, and its copy serves; a damaged one makes room. It may still be in use there.
      if (isWhole(folder)) return folder
      renameSync(folder, old)
      renameSync(fresh, folder)
    }
    return folder
  } finally {
    for (const path of [fresh, old]) rmSync(path, { recursive: true, force: true })
  }
}

/** Where it was found whole, once in a process: hashing takes a moment. */
let unpacked: string | undefined

function unpackedFolder(manifest: string): string {
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'))
  const name = `swiftshader-${version}`
  for (const folder of cacheFolders())
    if (isOwn(folder) && isWhole(join(folder, name))) return join(folder, name)
  const archive = join(dirname(manifest), 'bin', 'swiftshader.tar.br')
  return makeInCache('the unpacked software adapter', folder => unpack(archive, join(folder, name)))
}

/** Points the Vulkan loader at SwiftShader. Returns why it cannot, or nothing. Must run before Dawn starts. */
export function openEmbedded(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `the embedded software adapter exists for linux-x64 only, this is ${process.platform}-${process.arch}`
  }
  let manifest: string
  try {
    manifest = findPackage()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    return `${PACKAGE} is not installed; run: npm install ${PACKAGE}`
  }
  unpacked ??= unpackedFolder(manifest)
  const folder = unpacked
  process.env.VK_ICD_FILENAMES = join(folder, MANIFEST)
  delete process.env.VK_DRIVER_FILES // it would win over VK_ICD_FILENAMES
  if (!makeResident(LOADER) && !makeResident(join(folder, LOADER)))
    return `${join(folder, LOADER)} cannot be loaded`
  return undefined
}
