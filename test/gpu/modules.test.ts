// Compilers other than the one that the tests run on accept every module: Tint, with the rules on uniform control flow, for what no
// software adapter runs; naga, which Firefox and Deno use; and what naga makes of it is valid SPIR-V.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FAMILIES } from '../../bench/rows/index.ts'
import { openGpu } from '../../src/gpu/index.ts'
import { allModules } from '../support/all-modules.ts'

/** All modules where CI is set, and else one in so many. */
const EVERY = process.env.CI ? 1 : 16
/** Of those, SPIR-V is made of one in so many: two processes a module. */
const EVERY_SPIRV = process.env.CI ? 16 : 1
/** Modules that a process is given. */
const BATCH = 200

const modules = await allModules({ quick: !process.env.CI })
const gpu = await openGpu()
const { device } = gpu
const texts = [...modules.keys()].filter((_, i) => i % EVERY === 0)
console.log(`${modules.size} modules, ${texts.length} of them checked`)

/** What stands in `enable` lines. */
const extensionsOf = (code: string) =>
  [...code.matchAll(/^enable ([\w, ]+);/gm)].flatMap(([, names]) =>
    names!.split(',').map(name => name.trim()),
  )

/** Names of kernels whose family has another. */
const NAMES: Record<string, string> = { optimizer: 'AdamW' }

test('the walk reaches every family of kernels', () => {
  const labels = new Set([...modules.values()].map(label => label.split(' ')[0]!))
  const missing = Object.keys(FAMILIES).filter(family => !labels.has(NAMES[family] ?? family))
  assert.is(missing.length, 0, `no module of ${missing}`)
})

test('Tint accepts every module', async () => {
  const FEATURES: Record<string, GPUFeatureName> = { f16: 'shader-f16', subgroups: 'subgroups' }
  let left = 0
  for (const code of texts) {
    if (extensionsOf(code).some(name => !(name in FEATURES) || !device.features.has(FEATURES[name]!))) {
      left++
      continue
    }
    device.pushErrorScope('validation')
    const { messages } = await device.createShaderModule({ code }).getCompilationInfo()
    const error = await device.popErrorScope()
    const errors = messages.filter(({ type }) => type === 'error').map(({ message }) => message)
    assert.is(error, null, `${modules.get(code)}: ${errors.join('; ')}\n${code}`)
  }
  if (left) console.log(`skip: ${left} modules enable what this adapter has not`)
})

const has = (name: string) => spawnSync(name, ['--version']).status === 0
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-modules-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const naga = has('naga')
if (!naga) console.log('skip: no naga on this machine (cargo install naga-cli)')
const spirvVal = naga && has('spirv-val')
if (naga && !spirvVal) console.log('skip: no spirv-val on this machine')

;(naga ? test : test.skip)('naga accepts every module', () => {
  const files = texts.map((code, i) => {
    const file = join(folder, `${i}.wgsl`)
    writeFileSync(file, code.replace(/^enable subgroups;\n/m, ''))
    return file
  })
  const counted = texts.filter(code => extensionsOf(code).includes('subgroups')).length
  console.log(`skip: naga knows no 'enable subgroups', ${counted} modules are checked without that line`)
  for (let i = 0; i < files.length; i += BATCH) {
    const { status, stderr, stdout } = spawnSync('naga', ['--bulk-validate', ...files.slice(i, i + BATCH)], {
      encoding: 'utf8',
    })
    assert.is(status, 0, `${stdout}${stderr}`.slice(0, 4000))
  }
})

;(spirvVal ? test : test.skip)('what naga makes of them is valid SPIR-V', () => {
  for (const [i, code] of texts.entries()) {
    if (i % EVERY_SPIRV) continue
    const made = join(folder, `${i}.spv`)
    const translated = spawnSync('naga', ['--spirv-version', '1.3', join(folder, `${i}.wgsl`), made], {
      encoding: 'utf8',
    })
    assert.is(translated.status, 0, `${modules.get(code)}: ${translated.stderr}`)
    const { status, stdout, stderr } = spawnSync('spirv-val', ['--target-env', 'vulkan1.1', made], {
      encoding: 'utf8',
    })
    assert.is(status, 0, `${modules.get(code)}: ${stdout}${stderr}`)
  }
})

test.after(() => gpu.close())
test.run()
