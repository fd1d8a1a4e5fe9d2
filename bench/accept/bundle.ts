// A folder that runs on a machine of this kind without node, npm or a network: node itself, the library as it is built, what it
// imports, its tests, and a script that starts it. Node and the bindings are packed; the script unpacks them once.
import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { UsageError } from '../../src/errors.ts'
import { makeFolder } from './folder.ts'
import { CLAIMS } from './tests.ts'

// Seen from dist/bench/accept.
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const LIMIT = 60e6

/** What is needed beside the library's own dependencies. */
const TOOLS = ['uvu', 'tinybench', '@sparticuz/chromium']
/** Dependencies that the run has no use for. */
const UNUSED = ['fastify']
/** Packages of which only some files are taken, or none: nothing of them is run. */
const BINDINGS = process.platform === 'darwin' ? 'darwin-universal' : `${process.platform}-${process.arch}`
const TAKEN: Record<string, (path: string) => boolean> = {
  webgpu: path => !/^(dist|build)\/./.test(path) || path.startsWith(`dist/${BINDINGS}`),
  '@sparticuz/chromium': path => !path.startsWith('bin/') || path === 'bin/swiftshader.tar.br',
  '@webgpu/types': () => false,
}
/** What no program reads. */
const IDLE = /\.(map|d\.[mc]?ts|md|markdown|flow)$/i

const START = `#!/bin/sh
# Unpacks node and the bindings beside it, once, and starts the acceptance run.
set -e
here=$(cd "$(dirname "$0")" && pwd)
find "$here" -name '*.gz' -path '*packed*' | while read -r packed; do
  to=\${packed%.packed.gz}
  [ -f "$to" ] || { gzip -dc "$packed" > "$to.$$" && chmod +x "$to.$$" && mv "$to.$$" "$to"; }
done
exec "$here/node" "$here/dist/bench/accept/main.js" "$@"
`

/** Makes the folder. @returns the exit code */
export async function bundle(folder: string, print: (line: string) => void): Promise<number> {
  if (process.platform === 'win32') throw new UsageError('--bundle is made on Linux and macOS only')
  await makeFolder('--bundle', folder)
  if (readdirSync(folder).length) throw new UsageError(`--bundle ${folder}: the folder is not empty`)
  const copy = (path: string, keep: (path: string) => boolean = () => true) => {
    const from = join(ROOT, path)
    cpSync(from, join(folder, path), {
      recursive: true,
      dereference: true,
      filter: file => !IDLE.test(file) && keep(file.slice(from.length + 1)),
    })
  }
  copy('package.json')
  copy('dist/src')
  copy('dist/bench')
  copy('dist/test/support')
  copy('dist/test/kernels')
  for (const { file } of CLAIMS) copy(`dist/test/${file}.test.js`)
  for (const path of ['bench', 'wgsl']) copy(path, path => !path.includes('.') || path.endsWith('.wgsl'))
  for (const name of ['adamw', 'losses', 'optim']) copy(`test/golden/${name}`)
  const packages = closureOf([...dependenciesOf(ROOT).filter(name => !UNUSED.includes(name)), ...TOOLS])
  for (const path of packages) {
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
    copy(path, file => (TAKEN[name]?.(file) ?? true) && !/^node_modules\//.test(file))
  }
  pack(realpathSync(process.execPath), join(folder, 'node'))
  for (const file of readdirSync(join(folder, 'node_modules/webgpu/dist'), { recursive: true }) as string[])
    if (file.endsWith('.node')) {
      const path = join(folder, 'node_modules/webgpu/dist', file)
      pack(path, path)
      rmSync(path)
    }
  const start = join(folder, 'start.sh')
  writeFileSync(start, START)
  chmodSync(start, 0o755)
  const bytes = sizeOf(folder)
  print(`${folder}: ${(bytes / 1e6).toFixed(1)} MB; copy it and run ./${basename(start)} there`)
  if (bytes > LIMIT) print(`PROBLEM it is more than ${LIMIT / 1e6} MB`)
  return bytes > LIMIT ? 1 : 0
}

const pack = (from: string, to: string) =>
  writeFileSync(`${to}.packed.gz`, gzipSync(readFileSync(from), { level: 9 }))

function dependenciesOf(folder: string): string[] {
  const { dependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return Object.keys(dependencies)
}

/** Folders of packages, below the root, and of all that they depend on; what is not installed is left out. */
function closureOf(names: string[]): Set<string> {
  const found = new Set<string>()
  const visit = (name: string, from: string) => {
    const paths = createRequire(join(from, 'package.json')).resolve.paths(name) ?? []
    const folder = paths.map(path => join(path, name)).find(path => existsSync(join(path, 'package.json')))
    if (!folder?.startsWith(ROOT)) return
    const path = folder.slice(ROOT.length)
    if (found.has(path)) return
    found.add(path)
    // Of the software adapter files are read, and nothing is run.
    if (name !== '@sparticuz/chromium') for (const next of dependenciesOf(folder)) visit(next, folder)
  }
  for (const name of names) visit(name, ROOT)
  return found
}

function sizeOf(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += statSync(join(entry.parentPath ?? dirname(entry.path), entry.name)).size
  return bytes
}
