// What the project promises of its own source is checked here too, and the checks notice when it is broken.
// Waits for CI: it packs the package
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

function run(script: string, root = '.') {
  const { status, stdout, stderr } = spawnSync(process.execPath, [resolve(script)], {
    cwd: root,
    encoding: 'utf8',
  })
  return { status, out: stdout + stderr }
}
const CHECKS = ['scripts/check-imports.mjs', 'scripts/check-files.mjs', 'scripts/check-families.mjs']

for (const script of [...CHECKS, 'scripts/check-package.mjs', 'node_modules/knip/bin/knip.js']) {
  test(`${script} finds nothing`, () => {
    const { status, out } = run(script)
    assert.is(status, 0, out)
  })
}

const FOLDERS = ['bench', 'bin', 'examples', 'scripts', 'src', 'test/kernels', 'wgsl']
const copy = mkdtempSync(join(tmpdir(), 'kernelgrad-checks-'))

/** Runs a check on a copy of the source with one file changed. */
function withChange(script: string, file: string, change: (text: string) => string | undefined): string {
  const path = join(copy, file)
  const before = readFileSync(path, 'utf8')
  const after = change(before)
  if (after === undefined) rmSync(path)
  else writeFileSync(path, after)
  const { status, out } = run(script, copy)
  writeFileSync(path, before)
  assert.is(status, 1, out)
  return out
}

test('a family that lacks one of its six places is named', () => {
  for (const folder of FOLDERS) {
    mkdirSync(join(copy, folder), { recursive: true })
    cpSync(folder, join(copy, folder), { recursive: true })
  }
  const script = 'scripts/check-families.mjs'
  assert.is(run(script, copy).status, 0)
  const gone = () => undefined
  for (const file of [
    'wgsl/gelu.wgsl',
    'src/reference/gelu.ts',
    'test/kernels/gelu.test.ts',
    'bench/rows/gelu.ts',
  ])
    assert.match(withChange(script, file, gone), `gelu: ${file} is missing`)
  const without = (word: string) => (text: string) => text.replaceAll(word, '')
  assert.match(
    withChange(script, 'src/kernels/index.ts', without(`'./gelu.ts'`)),
    'gelu: src/kernels/index.ts does not name ./gelu.ts',
  )
  assert.match(
    withChange(script, 'src/autograd/ops/dropout.ts', without('/kernels/dropout.ts')),
    'dropout: no operation in src/autograd/ops launches it',
  )
  assert.match(withChange(script, 'src/kernels/gelu.ts', gone), 'wgsl/gelu.wgsl belongs to no kernel family')
})

test('a long file and an import upwards are named', () => {
  const long = (text: string) => text + '// one more line\n'.repeat(400)
  assert.match(
    withChange('scripts/check-files.mjs', 'src/ids.ts', long),
    /src\/ids\.ts: \d+ lines, expected at most 400/,
  )
  const file = 'src/testing/timing.ts'
  const upwards = (text: string) => `import { openGpu } from '../gpu/index.ts'\n${text}`
  assert.match(
    withChange('scripts/check-imports.mjs', file, upwards),
    'src/testing/timing.ts: src/testing may not import from src/gpu',
  )
})

test('a circle of imports is named, file by file; types may go round', () => {
  const [script, file] = ['scripts/check-imports.mjs', 'src/autograd/hooks.ts']
  const after = (line: string) => (text: string) => `${line}\n${text}`
  for (const line of [
    "import { empty } from './tensor.ts'",
    "import {\n  empty,\n  type Tensor as T,\n} from './tensor.ts'",
    "export * from './tensor.ts'",
    "import './tensor.ts'",
  ])
    assert.match(
      withChange(script, file, after(line)).replace(/.*circle of imports: (.*);.*/s, '$1'),
      /hooks.ts -> src.autograd.tensor.ts -> src.autograd.hooks.ts|tensor.ts -> src.autograd.hooks.ts -> src.autograd.tensor.ts/,
    )
  writeFileSync(
    join(copy, file),
    after("import type { DType } from './tensor.ts'")(readFileSync(join(copy, file), 'utf8')),
  )
  assert.is(run(script, copy).status, 0)
})

test.after(() => rmSync(copy, { recursive: true }))
test.run()
