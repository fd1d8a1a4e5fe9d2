// A headless Chromium for tests: the one in the package whose software adapter is used, driven by playwright-core.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { type Browser, chromium } from 'playwright-core'
import { cacheFolder } from '../../src/gpu/cache-folder.ts'
import { findPackage, tarFiles } from '../../src/gpu/embedded.ts'

/** What gives pages a WebGPU adapter without a GPU: the SwiftShader in the browser's own package. */
const WEBGPU = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  '--enable-unsafe-swiftshader',
]

/** Starts the browser. @returns why there is none, where its package is not installed or made for another machine. */
export async function launchChromium(): Promise<Browser | string> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'Chromium is packed for linux-x64 only'
  let manifest: string
  try {
    manifest = findPackage()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    return '@sparticuz/chromium is not installed'
  }
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'))
  const folder = join(cacheFolder(), `chromium-${version}-webgpu`)
  if (!existsSync(folder)) unpack(join(dirname(manifest), 'bin'), folder)
  const browser = await chromium.launch({
    executablePath: join(folder, 'chromium'),
    args: ['--headless=shell', '--no-sandbox', ...WEBGPU],
    // Libraries that a bare machine lacks come with the package.
    env: { ...process.env, LD_LIBRARY_PATH: join(folder, 'lib') } as Record<string, string>,
    timeout: 0,
  })
  // What a page is to do is waited for, however slow the machine.
  const newContext = browser.newContext.bind(browser)
  browser.newContext = async options => {
    const context = await newContext(options)
    context.setDefaultTimeout(0)
    context.setDefaultNavigationTimeout(0)
    return context
  }
  return browser
}

/** Unpacks the browser, 190 MB, once. */
function unpack(bin: string, folder: string): void {
  const fresh = `${folder}.${process.pid}`
  const read = (name: string) => brotliDecompressSync(readFileSync(join(bin, name)))
  mkdirSync(join(fresh, 'lib'), { recursive: true })
  writeFileSync(join(fresh, 'chromium'), read('chromium.br'), { mode: 0o755 })
  for (const { name, data } of tarFiles(read('al2023.tar.br')))
    writeFileSync(join(fresh, 'lib', basename(name)), data)
  // Looked for beside the browser itself.
  for (const { name, data } of tarFiles(read('swiftshader.tar.br')))
    writeFileSync(join(fresh, basename(name)), data)
  try {
    renameSync(fresh, folder)
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true })
    if (!existsSync(folder)) throw error // otherwise another process was first, and its copy serves
  }
}
