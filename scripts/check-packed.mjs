// Holds what npm would pack to itself: every link of a packed Markdown file leads to a packed file or folder, and every package
// that runs a script when it is installed is one that is known to download nothing.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'

// esbuild puts its program where it starts faster, and looks for it elsewhere only where npm was told to leave optional packages out;
// webgpu takes a mark off its own on macOS; koffi, which is optional, compiles itself where npm has no build of it for the system.
const INSTALL_SCRIPTS = ['node_modules/esbuild', 'node_modules/koffi', 'node_modules/webgpu']

let bad = 0
const fail = message => {
  console.error(message)
  bad++
}

// The list needs no build.
const listed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'pipe'],
})
const packed = new Set(JSON.parse(listed)[0].files.map(({ path }) => path))
for (const path of [...packed])
  for (let folder = posix.dirname(path); folder !== '.'; folder = posix.dirname(folder)) packed.add(folder)

let links = 0
for (const path of packed) {
  if (!path.endsWith('.md')) continue
  const text = readFileSync(path, 'utf8')
    .replace(/^```[\s\S]*?^```/gm, '')
    .replace(/`[^`\n]*`/g, '')
  const targets = [
    ...text.matchAll(/\[[^\]]*\]\(\s*<?([^)\s>]+)/g),
    ...text.matchAll(/^ *\[[^\]]+\]:\s*<?([^\s>]+)/gm),
    ...text.matchAll(/\b(?:href|src)="([^"]+)"/g),
  ]
  for (const [, target] of targets) {
    if (/^([a-z]+:|#)/.test(target)) continue
    links++
    const to = posix.normalize(posix.join(posix.dirname(path), decodeURI(target.split('#')[0])))
    if (!packed.has(to.replace(/\/$/, '')))
      fail(`${path}: link ${target} leads to ${to}, which is not in the package`)
  }
}

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'))
for (const [path, { hasInstallScript }] of Object.entries(packages))
  if (hasInstallScript && !INSTALL_SCRIPTS.includes(path))
    fail(
      `${path} runs a script when it is installed: see what it does, and name it in scripts/check-packed.mjs`,
    )

if (bad) process.exit(1)
console.log(`packed files: ok (${packed.size} files and folders, ${links} links)`)
