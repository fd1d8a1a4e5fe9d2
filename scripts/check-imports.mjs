// Imports point down this list only: a room may import from the rooms named for it, and from itself. Files load each other in no
// circle; types may.
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
  losses: ['errors', 'check', 'autograd'],
  testing: ['errors', 'check', 'reference'],
  nn: ['errors', 'check', 'ids', 'inputs', 'config', 'gpu', 'autograd'],
  models: ['errors', 'check', 'inputs', 'metrics', 'config', 'autograd', 'losses', 'nn', 'data'],
  ranks: ['errors', 'check', 'wgsl'],
  optim: ['errors', 'check', 'ids', 'ranks', 'gpu', 'wgsl', 'kernels', 'autograd', 'nn'],
  data: ['errors', 'check', 'ids', 'inputs', 'config'],
  datasets: ['errors', 'check', 'metrics', 'config', 'data'],
  prepare: ['errors', 'check', 'hash', 'inputs', 'config', 'data', 'datasets'],
  train: [
    'ranks',
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
    'losses',
    'data',
    'models',
  ],
  serve: [
    'ranks',
    'prepare',
    'errors',
    'check',
    'inputs',
    'metrics',
    'config',
    'gpu',
    'kernels',
    'autograd',
    'data',
    'models',
    'train',
  ],
  onnx: [
    'errors',
    'check',
    'inputs',
    'config',
    'wgsl',
    'autograd',
    'nn',
    'data',
    'models',
    'prepare',
    'train',
  ],
  cli: [
    'onnx',
    'ranks',
    'check',
    'serve',
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
    'losses',
    'optim',
    'data',
    'datasets',
    'prepare',
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
    'losses',
    'optim',
    'data',
    'train',
    'testing',
  ],
}
// What a room may name the types of, and import while it runs, but not load with itself: tests need no device.
const LAZY = { testing: ['gpu', 'autograd'] }
const roomOf = file => file.replace(/\\/g, '/').split('/')[1].replace(/\.ts$/, '')

/** What each file loads before it runs: all it imports but types, and but what it imports while it runs. */
const loads = new Map()
const LOADED = /^(?:import|export)\s+(?!type\b)(?:[^'()=;]*\sfrom\s*)?'(\.[^'\n]+\.ts)'/gm

/** The first circle of files on the way from `file`. */
function circleFrom(file, way = []) {
  if (way.includes(file)) return [...way.slice(way.indexOf(file)), file]
  const next = loads.get(file) ?? []
  loads.delete(file) // looked at once
  for (const loaded of next) {
    const circle = circleFrom(loaded, [...way, file])
    if (circle) return circle
  }
}

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
  const text = readFileSync(file, 'utf8')
  loads.set(
    file,
    [...text.matchAll(LOADED)].map(([, target]) => join(dirname(file), target)),
  )
  const imports = /(import type [^']*|await import\(\s*)?(?:\bfrom\s*|\bimport\s*\(?\s*)?'(\.[^'\n]+\.ts)'/g
  for (const [, lazy, target] of text.matchAll(imports)) {
    const other = roomOf(relative('.', join(dirname(file), target)))
    if (other === room || allowed.includes(other) || (lazy && LAZY[room]?.includes(other))) continue
    console.error(
      `${file}: src/${room} may not import from src/${other} (allowed: ${allowed.join(', ') || 'nothing'})`,
    )
    bad++
  }
}
for (const file of [...loads.keys()]) {
  const circle = circleFrom(file)
  if (!circle) continue
  console.error(`a circle of imports: ${circle.join(' -> ')}; files load each other in no circle (types may)`)
  bad++
}
if (bad) process.exit(1)
console.log('import directions: ok')
