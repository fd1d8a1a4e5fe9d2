// The package as its users get it: packed, and used from a Node project, a Vite app and a page with an import map. All three
// run one program, and it says the same everywhere.
// Waits for CI: it packs and installs the package
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { launchChromium } from '../support/chromium.ts'
import { packedProject, packFresh } from '../support/packed.ts'
import { serve } from '../support/serve.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-package-'))
const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
const rooms = Object.keys(manifest.exports).map(name => name.replace(/^\./, 'kernelgrad'))

/** Written in TypeScript; trains without a worker and collates in one. */
const PROGRAM = `
import { createModel, type FeaturesConfig, openGpu, parseTrainingConfig, Trainer, type TrainerOptions } from 'kernelgrad'
import { createLoader, type Dataset, loadDataset } from 'kernelgrad/data'
import { writeSyntheticKdd } from 'kernelgrad/datasets'
import { uniform } from 'kernelgrad/testing'

export async function program(adapter?: string): Promise<{ losses: number[]; rows: number }> {
  const n = 96
  const ids = (count: number, below: number, seed: number) =>
    Uint32Array.from(uniform(count, seed, { low: 0, high: below }), Math.floor)
  const features: FeaturesConfig = {
    tokens: { dtype: 'token_id' },
    gender: { dtype: 'categorical', vocab_size: 5, embedding_size: 4 },
    depth: { dtype: 'numerical' },
  }
  const train: Dataset = {
    files: [{ name: 'rows', rowStart: 0, rows: n }],
    length: n,
    rowStart: 0,
    lists: { tokens: { values: ids(4 * n, 30, 1), offsets: Uint32Array.from({ length: n + 1 }, (_, i) => 4 * i) } },
    ids: { gender: ids(n, 5, 2), label: ids(n, 2, 4) },
    floats: { depth: uniform(n, 3) },
  }
  const { trainer: config, ...modelConfig } = parseTrainingConfig(
    {
      features_config: features,
      mlp_config: [{ hidden_size: 8, activation_function: 'ReLU' }],
      pretrained_model_config: { vocab_size: 31, pad_token_id: 30, dim: 12, n_heads: 2, n_layers: 1, hidden_dim: 20 },
      trainer: { per_device_train_batch_size: 16, gradient_accumulation_steps: 1, max_steps: 6, logging_steps: 1 },
    },
    'the program',
  )
  const gpu = await openGpu(adapter === undefined ? {} : { adapter })
  const options: TrainerOptions = { model: createModel(modelConfig).to(gpu, { seed: 1 }), config, train }
  const { log_history } = await new Trainer(options).train()
  gpu.close()
  const loader = createLoader(train, options.model.inputs, { batchSize: 20, worker: true })
  let rows = 0
  for await (const batch of loader.batches(Uint32Array.from({ length: n }, (_, i) => i))) rows += batch.size
  await loader.close()
  return { losses: log_history.flatMap(({ loss }) => (loss === undefined ? [] : [loss])), rows }
}

/** Data on disk, or in the site's own files: Parquet written and read, through decompressors that are loaded on use. */
export async function files(folder: string): Promise<number> {
  const { train, features_config } = await writeSyntheticKdd({ folder, trainRows: 40, testRows: 5 })
  return (await loadDataset(train, { features: features_config })).length
}
`

function output(command: string, args: string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  assert.is(status, 0, stdout + stderr)
  return stdout
}

let packed: string[]
let expected: { losses: number[]; rows: number }

test('a fresh clone, packed plainly, holds what is exported and what its README names', () => {
  packed = packFresh(root)
  for (const name of packed) assert.not.match(name, /(^|\/)(test|scripts|node_modules)(\/|$)|\.test\./)
  for (const name of packed.filter(name => name.startsWith('dist/src') && name.endsWith('.js')))
    assert.ok(existsSync(name.replace(/^dist\//, '').replace(/js$/, 'ts')), `${name} has a source`)
  const named = JSON.stringify([manifest.exports, manifest.imports, manifest.bin]).matchAll(
    /"\.?\/?((?:dist|bin)\/[^"]+)"/g,
  )
  for (const [, file] of named) assert.ok(packed.includes(file!), file)
  const readme = readFileSync('README.md', 'utf8')
  const used = [
    ...readme.matchAll(/node_modules\/kernelgrad\/([\w./-]+)/g),
    ...readme.matchAll(/\b((?:examples|tools)\/[\w./-]+\.\w+)/g),
  ]
  assert.ok(used.length > 4)
  for (const [, file] of used) assert.ok(packed.includes(file!), `${file}, which the README names`)
})

test('a Node project: typed strictly, every entry, one program', () => {
  const folder = packedProject(root, 'node', {
    'program.ts': PROGRAM,
    'all.ts': rooms.map((room, i) => `export * as room${i} from '${room}'`).join('\n'),
    'main.mjs': `import { program, files } from './out/program.js'
      import * as all from './out/all.js'
      const empty = Object.values(all).filter(room => Object.keys(room).length < 1).length
      console.log(JSON.stringify({ ...(await program('embedded')), empty, read: await files('data') }))`,
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        module: 'nodenext',
        target: 'es2023',
        strict: true,
        declaration: true,
        outDir: 'out',
        types: [],
      },
      include: ['*.ts'],
    }),
  })
  output(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', '.'], folder)
  const { empty, read, ...result } = JSON.parse(
    output(process.execPath, ['main.mjs'], folder).trim().split('\n').at(-1)!,
  )
  assert.is(empty, 0)
  assert.is(read, 40)
  assert.is(result.losses.length, 6)
  assert.is(result.rows, 96)
  expected = result
  assert.match(
    output(process.execPath, ['node_modules/kernelgrad/bin/kernelgrad.js', '--version'], folder),
    manifest.version,
  )
})

const browser = await launchChromium()
if (typeof browser === 'string') console.log(`skip: the package in a browser: ${browser}`)
const inBrowser = typeof browser === 'string' ? test.skip : test

/** Opens a page of a folder and waits for what its program says. */
async function pageOf(folder: string): Promise<unknown> {
  if (typeof browser === 'string') return undefined
  const served = await serve(path => {
    const file = join(folder, path === '/' ? 'index.html' : path)
    return existsSync(file) ? readFileSync(file) : undefined
  })
  const page = await browser.newPage()
  try {
    // A page that fails never says anything.
    const failed = new Promise<never>((_, reject) => {
      page.on('pageerror', reject)
      page.on('console', message => message.type() === 'error' && reject(new Error(message.text())))
    })
    await page.goto(served.url)
    const said = await Promise.race([page.waitForFunction('window.said'), failed])
    return await said.jsonValue()
  } finally {
    await page.close()
    served.close()
  }
}

const close = (said: unknown) => {
  const { read, losses, rows } = said as typeof expected & { read: number }
  assert.is(read, 40)
  assert.is(rows, expected.rows)
  assert.is(losses.length, expected.losses.length)
  // One SwiftShader, two versions of its compiler: the last bits may differ.
  for (const [i, loss] of losses.entries())
    assert.ok(Math.abs(loss - expected.losses[i]!) < 1e-6, `step ${i + 1}`)
}

const SAY = `Promise.all([program(), files('data')]).then(
  ([result, read]) => { window.said = { ...result, read } },
  error => { window.said = String(error) })`

inBrowser('a Vite app', async () => {
  const folder = packedProject(root, 'vite', {
    'program.ts': PROGRAM,
    'main.js': `import { files, program } from './program.ts'\n${SAY}`,
    'index.html':
      '<!doctype html><title>app</title><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>',
  })
  const { build } = await import('vite')
  await build({ root: folder, logLevel: 'error', configFile: false })
  const texts = readdirSync(join(folder, 'dist', 'assets')).map(name =>
    readFileSync(join(folder, 'dist/assets', name), 'utf8'),
  )
  for (const text of texts) assert.not.match(text, /["']node:|duckdb/i)
  close(await pageOf(join(folder, 'dist')))
})

inBrowser('a page with an import map', async () => {
  const folder = packedProject(root, 'page', {
    'index.html': `<!doctype html><title>page</title><link rel="icon" href="data:,">
<script type="importmap">
{
  "imports": {
    "kernelgrad": "/node_modules/kernelgrad/dist/browser/index.js",
    "kernelgrad/data": "/node_modules/kernelgrad/dist/browser/data.js",
    "kernelgrad/datasets": "/node_modules/kernelgrad/dist/browser/datasets.js",
    "kernelgrad/testing": "/node_modules/kernelgrad/dist/browser/testing.js"
  }
}
</script>
<script type="module">
import { files, program } from '/program.js'
${SAY}
</script>`,
  })
  cpSync(join(root, 'node', 'out', 'program.js'), join(folder, 'program.js'))
  close(await pageOf(folder))
})

test.after(async () => {
  if (typeof browser !== 'string') await browser.close()
  rmSync(root, { recursive: true })
})
test.run()
