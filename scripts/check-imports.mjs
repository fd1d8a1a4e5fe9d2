// Imports point down this list only: a room may import from the rooms named for it, and from itself.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

const ROOMS = {
  errors: [],
  check: ['errors'],
  hash: [],
  ids: [],
  pointwise: [],
  inputs: ['errors', 'check', 'ids'],
  metrics: ['errors', 'check', 'inputs'],
  config: ['errors', 'inputs'],
  wgsl: [],
  gpu: ['errors'],
  kernels: ['errors', 'check', 'hash', 'pointwise', 'gpu', 'wgsl'],
  reference: ['errors', 'check', 'pointwise'],
  autograd: ['errors', 'check', 'ids', 'pointwise', 'gpu', 'kernels'],
  testing: ['errors', 'check', 'reference'],
  nn: ['errors', 'check', 'ids', 'inputs', 'config', 'gpu', 'autograd'],
  models: ['errors', 'check', 'inputs', 'metrics', 'config', 'autograd', 'nn', 'data'],
  optim: ['errors', 'check', 'ids', 'gpu', 'wgsl', 'kernels', 'autograd', 'nn'],
  data: ['errors', 'check', 'ids', 'inputs', 'config'],
  datasets: ['errors', 'check', 'config', 'data'],
  train: [
    'errors',
    'check',
    'ids',
    'inputs',
    'metrics',
    'config',
    'gpu',
    'kernels',
    'autograd',
    'nn',
    'optim',
    'data',
    'models',
  ],
  cli: [
    'errors',
    'hash',
    'ids',
    'inputs',
    'metrics',
    'config',
    'gpu',
    'kernels',
    'reference',
    'autograd',
    'nn',
    'optim',
    'data',
    'datasets',
    'models',
    'train',
  ],
  index: [
    'errors',
    'inputs',
    'metrics',
    'models',
    'config',
    'gpu',
    'autograd',
    'nn',
    'optim',
    'data',
    'train',
    'testing',
  ],
}
// What a room may name the types of, and import while it runs, but not load with itself: tests need no device.
const LAZY = { testing: ['gpu', 'autograd'] }
const roomOf = file => file.replace(/\\/g, '/').split('/')[1].replace(/\.ts$/, '')

let bad = 0
for (const entry of readdirSync('src', { recursive: true, withFileTypes: true })) {
  // What is ambient imports nothing and is imported by nobody.
  if (!entry.isFile() || !entry.name.endsWith('.ts') || entry.name.endsWith('.d.ts')) continue
  const file = relative('.', join(entry.parentPath ?? entry.path, entry.name))
  const room = roomOf(file)
  const allowed = ROOMS[room]
  if (!allowed) {
    console.error(
      `${file}: src/${room} is not a room; add it to scripts/check-imports.mjs and ARCHITECTURE.md`,
    )
    bad++
    continue
  }
  const imports = /(import type [^']*|await import\(\s*)?(?:\bfrom\s*|\bimport\s*\(?\s*)?'(\.[^'\n]+\.ts)'/g
  for (const [, lazy, target] of readFileSync(file, 'utf8').matchAll(imports)) {
    const other = roomOf(relative('.', join(dirname(file), target)))
    if (other === room || allowed.includes(other) || (lazy && LAZY[room]?.includes(other))) continue
    console.error(
      `${file}: src/${room} may not import from src/${other} (allowed: ${allowed.join(', ') || 'nothing'})`,
    )
    bad++
  }
}
if (bad) process.exit(1)
console.log('import directions: ok')
