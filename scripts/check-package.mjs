// Holds the package to what its users' tools expect: publint and are-the-types-wrong find nothing, importing one room
// pulls in no other, and what a page loads to train a model stays small.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { rolldown } from 'rolldown'

const KB = 1000
const OURS = `${join(process.cwd(), 'dist', 'src')}/`
// Fetched by a page only once a file or a model needs them.
const ON_USE = [/\/tokenizer\/index\.js$/, /\/stream-(loader|reader)\.js$/, 'hyparquet-compressors']
const MODEL = [
  'autograd',
  'check',
  'config',
  'data',
  'errors',
  'gpu',
  'hash',
  'ids',
  'index',
  'inputs',
  'kernels',
  'metrics',
  'models',
  'nn',
  'optim',
  'pointwise',
  'wgsl',
]
const ENTRIES = [
  {
    name: 'the kernels',
    code: `export * from 'kernelgrad/kernels'`,
    rooms: ['check', 'errors', 'gpu', 'hash', 'kernels', 'pointwise', 'wgsl'],
    limit: 66 * KB,
  },
  {
    name: 'the reference',
    code: `export * from 'kernelgrad/reference'`,
    rooms: ['check', 'errors', 'pointwise', 'reference'],
    limit: 10 * KB,
  },
  {
    name: 'a model and its training',
    code: `export { AdamW, schedule } from 'kernelgrad/optim'
export { collate } from 'kernelgrad/data'
export { openGpu } from 'kernelgrad/gpu'
export { TextTabularModel } from 'kernelgrad/models'`,
    rooms: MODEL,
    limit: 110 * KB,
  },
  {
    name: 'the same from the main entry, which brings the methods of tensors',
    code: `export { AdamW, collate, openGpu, schedule, TextTabularModel } from 'kernelgrad'`,
    rooms: MODEL,
    limit: 115 * KB,
  },
  {
    name: 'a model and the Trainer',
    code: `export { createModel } from 'kernelgrad/models'
export { Trainer } from 'kernelgrad/train'
export { openGpu } from 'kernelgrad/gpu'`,
    rooms: [...MODEL, 'losses', 'ranks', 'train'],
    limit: 180 * KB,
  },
  {
    name: 'the same from the main entry, which brings the methods of tensors',
    code: `export { createModel, openGpu, Trainer } from 'kernelgrad'`,
    rooms: [...MODEL, 'losses', 'ranks', 'train'],
    limit: 181 * KB,
  },
  {
    name: 'everything',
    code: `export * from 'kernelgrad'\nexport * as train from 'kernelgrad/train'\nexport * as data from 'kernelgrad/data'`,
    limit: 260 * KB,
  },
]

let bad = 0
const fail = message => {
  console.error(message)
  bad++
}

const kB = bytes => (bytes / KB).toFixed(1)

for (const { name, code, rooms, limit } of ENTRIES) {
  const entry = join('dist', 'size-entry.mjs')
  writeFileSync(entry, code)
  // Vite's bundler and minifier.
  const bundler = await rolldown({ input: entry, platform: 'browser', external: ON_USE })
  const { output } = await bundler.generate({ format: 'esm', minify: true, codeSplitting: false })
  const [bundle] = output
  const used = Object.entries(bundle.modules)
    .filter(([path, { renderedLength }]) => path.startsWith(OURS) && renderedLength > 0)
    .map(([path]) => path.slice(OURS.length).split('/')[0].replace(/\.js$/, ''))
  for (const room of new Set(used))
    if (rooms && !rooms.includes(room))
      fail(`${name}: pulls in src/${room}, expected only ${rooms.join(', ')}`)
  const size = brotliCompressSync(bundle.code).length
  const sizes = `${kB(size)} kB minified and compressed (Brotli; gzip ${kB(gzipSync(bundle.code, { level: 9 }).length)})`
  if (size > limit) fail(`${name}: ${sizes}, expected at most ${kB(limit)}`)
  else console.log(`${name}: ${sizes}, at most ${kB(limit)}`)
}

// attw's own packing would build anew, under the feet of what is reading the build meanwhile.
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-packed-'))
process.on('exit', () => rmSync(folder, { recursive: true }))
execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { stdio: 'pipe' })
const [tarball] = readdirSync(folder)

for (const [command, args] of [
  ['publint', ['--strict']],
  ['attw', [join(folder, tarball), '--profile', 'esm-only', '--format', 'ascii']],
]) {
  try {
    execFileSync(join('node_modules', '.bin', command), args, { encoding: 'utf8', stdio: 'pipe' })
    console.log(`${command}: ok`)
  } catch (error) {
    fail(`${command}:\n${error.stdout}${error.stderr}`)
  }
}
if (bad) process.exit(1)
