// The example package, copied out of the source tree, with kernelgrad among its dependencies as an installation puts it
// there: its own tests pass, its benchmark prints rows, and TypeScript accepts how it uses the public types.
// Waits for CI: it installs a package and trains
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-custom-'))
cpSync('examples/custom-kernel', folder, { recursive: true })
mkdirSync(join(folder, 'node_modules'))
symlinkSync(resolve('.'), join(folder, 'node_modules', 'kernelgrad'), 'junction')

function run(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
  assert.is(status, 0, stdout + stderr)
  return stdout
}

test('its tests pass', () => {
  const out = run('--test', '--test-reporter=tap', 'test.js')
  assert.match(out, /^# pass 10$/m)
  assert.match(out, /^# fail 0$/m)
})

test('its benchmark prints a row a direction and dtype', () => {
  const rows = run('bench.js', '--quick')
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  assert.equal(
    rows.map(({ name, shape, dtype }) => [name, shape, dtype]),
    ['f32', 'f16'].flatMap(dtype => [
      ['swiglu.forward', '64x96 64x96', dtype],
      ['swiglu.backward', '64x96 64x96', dtype],
    ]),
  )
  for (const { ms, best, gflops, gbps } of rows) assert.ok(best > 0 && best <= ms && gflops > 0 && gbps > 0)
})

test('an error in its WGSL names the kernel and the line of its own text', () => {
  const broken = `import { readFileSync, writeFileSync } from 'node:fs'
writeFileSync('broken.js', readFileSync('wgsl.js', 'utf8').replace('load(gate[i])', 'load(gat[i])'))
writeFileSync('op.js', readFileSync('swiglu.js', 'utf8').replace('./wgsl.js', './broken.js'))
const { openGpu, tensor } = await import('kernelgrad')
const { swiglu } = await import('./op.js')
const gpu = await openGpu()
const x = tensor(gpu, [1, 2, 3])
try { await swiglu(x, x).read() } catch (error) { console.log(error.message) }
gpu.close()`
  writeFileSync(join(folder, 'break.js'), broken)
  assert.match(
    run('break.js'),
    /^kernel swiglu, entry forward: line 20 \(let g = load\(gat\[i\]\);\): unresolved value 'gat'/m,
  )
})

test('TypeScript accepts the operation by the public types, and refuses a wrong call', () => {
  const tsc = (text: string) => {
    writeFileSync(join(folder, 'use.ts'), text)
    const options = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--skipLibCheck',
      '--pretty',
      'false',
    ]
    const types = ['--types', '@webgpu/types', '--typeRoots', resolve('node_modules')]
    return spawnSync(
      process.execPath,
      [
        resolve('node_modules/typescript/bin/tsc'),
        ...options,
        ...types,
        '--allowJs',
        '--checkJs',
        '--noImplicitAny',
        'false',
        'use.ts',
      ],
      { cwd: folder, encoding: 'utf8' },
    )
  }
  const use = (call: string) => `import type { Tensor } from 'kernelgrad'
import { swiglu } from './swiglu.js'
export const y = (a: Tensor, b: Tensor): Tensor => ${call}
`
  const right = tsc(use('swiglu(a, b)'))
  assert.is(right.status, 0, right.stdout)
  const wrong = tsc(use('swiglu(a)'))
  assert.match(wrong.stdout, /use\.ts\(3,\d+\): error TS2554: Expected 2 arguments, but got 1/)
})

test.after(() => rmSync(folder, { recursive: true }))
test.run()
