// No source file is longer than 400 lines.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const LIMIT = 400
const FOLDERS = ['bench', 'bin', 'examples', 'scripts', 'src', 'test', 'wgsl']
const root = process.argv[2] ?? '.'

let bad = 0
for (const folder of FOLDERS) {
  for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name)
    if (!entry.isFile() || path.includes('node_modules') || !/\.(ts|mjs|js|wgsl|py)$/.test(entry.name))
      continue
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n').length
    if (lines <= LIMIT) continue
    console.error(`${path}: ${lines} lines, expected at most ${LIMIT}; split it by what its parts are about`)
    bad++
  }
}
if (bad) process.exit(1)
console.log(`file lengths: ok`)
