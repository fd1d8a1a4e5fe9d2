// The types of the package under the compilers of its users, who check libraries too (`skipLibCheck: false`), with and without the
// libraries that know WebGPU or Node: every entry is imported, and `gpu.device` is a GPUDevice. The oldest
// compiler meets the project that has least around it, the newest also the one that has most; all compilers meet all where CI is set.
// Waits for CI: it packs the package and runs compilers
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
const everything = Boolean(process.env.CI)
if (!everything)
  console.log('skip: most projects of most compilers: each takes seconds; set CI=1 to run them')

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-types-'))
test.after(() => rmSync(root, { recursive: true }))

// What is published of the types, and what it depends on.
const own = join(root, 'node_modules/kernelgrad')
for (const folder of ['dist/src', 'dist/browser']) cpSync(folder, join(own, folder), { recursive: true })
cpSync('package.json', join(own, 'package.json'))
const link = (path: string) => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  symlinkSync(resolve(path), join(root, path))
}
const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'))
for (const [path, { dev }] of Object.entries<{ dev?: boolean }>(packages))
  if (!dev && /^node_modules\/(?:@[^/]+\/)?[^/]+$/.test(path) && existsSync(path)) link(path)
for (const path of ['node_modules/@types/node', 'node_modules/undici-types', 'node_modules/@webgpu/types'])
  if (!existsSync(join(root, path))) link(path)
writeFileSync(join(root, 'package.json'), '{ "type": "module" }')

const rooms = Object.keys(manifest.exports).map(name => name.replace(/^\./, 'kernelgrad'))
writeFileSync(
  join(root, 'all.ts'),
  `${rooms.map((room, i) => `export * as room${i} from '${room}'`).join('\n')}
import { type Gpu, openGpu } from 'kernelgrad'

type IsAny<T> = 0 extends 1 & T ? true : false
export const anything: IsAny<Gpu['device']> = false
export const gpu = await openGpu()
export const device: GPUDevice = gpu.device
const same = (device: GPUDevice): Gpu['device'] => device
const buffer: GPUBuffer = same(gpu.device).createBuffer({ size: 16, usage: 8 })
gpu.device.queue.writeBuffer(buffer, 0, new Float32Array(4))
export const bytes: number = gpu.device.limits.maxBufferSize
export const lost: string = (await gpu.device.lost).message
// @ts-expect-error: no device has that
gpu.device.createCoffee()
// @ts-expect-error: bytes are counted
gpu.device.createBuffer({ size: '16', usage: 8 })
`,
)

/** Oldest first. The last compiles in a second. */
const NATIVE = 'typescript'
const COMPILERS = ['typescript-5.6', 'typescript-5.9', 'typescript-6', NATIVE]
/** TypeScript's `dom` library knows WebGPU from this version on, and @webgpu/types does not go with it. */
const KNOWS_WEBGPU = 6
const RESOLUTIONS = { nodenext: 'nodenext', bundler: 'esnext' }

for (const name of everything ? COMPILERS : [COMPILERS[0]!, NATIVE]) {
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'))
  const projects: { lib: string[]; types: string[]; moduleResolution: keyof typeof RESOLUTIONS }[] = []
  for (const lib of [['es2023'], ['es2023', 'dom']])
    for (const types of [[], ['node'], ['@webgpu/types'], ['node', '@webgpu/types']])
      for (const moduleResolution of ['nodenext', 'bundler'] as const) {
        // @webgpu/types itself needs `dom`, and one that lacks WebGPU.
        const dom = lib.includes('dom')
        if (types.includes('@webgpu/types') && !(dom && Number.parseInt(version, 10) < KNOWS_WEBGPU)) continue
        projects.push({ lib, types, moduleResolution })
      }
  test(`every entry under TypeScript ${version}`, () => {
    const chosen = everything ? projects : name === NATIVE ? [projects[0]!, projects.at(-1)!] : [projects[0]!]
    for (const { lib, types, moduleResolution } of chosen) {
      const compilerOptions = {
        ...{ lib, types, moduleResolution, module: RESOLUTIONS[moduleResolution] },
        ...{ target: 'es2022', strict: true, skipLibCheck: false, noEmit: true },
      }
      writeFileSync(join(root, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['all.ts'] }))
      const compiler = resolve(`node_modules/${name}/bin/tsc`)
      const args = [compiler, '-p', root, '--pretty', 'false']
      const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
      assert.is(status, 0, `${lib} ${types} ${moduleResolution}: ${stdout}${stderr}`)
    }
  })
}

test.run()
