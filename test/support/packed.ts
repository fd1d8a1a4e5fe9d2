// The package as a publisher makes it: of a fresh clone after `npm ci`, by `npm pack` without any option.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

/** What git ignores, and git's own. */
const NOT_CLONED = new Set(['node_modules', 'dist', '.git', 'runs', 'demo-data', 'src/wgsl', 'docs/site'])

/** The environment of a shell of its own: a test run is itself started by npm, whose options are not the user's. */
export const ownShell = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)))

/** Packs a clone of the checkout made below `folder`, unpacks it as `folder/package`, and gives the names in it. */
export function packFresh(folder: string): string[] {
  const clone = join(folder, 'clone')
  cpSync('.', clone, {
    recursive: true,
    filter: path => {
      const name = relative('.', path)
      return !NOT_CLONED.has(name) && !name.endsWith('/node_modules')
    },
  })
  symlinkSync(resolve('node_modules'), join(clone, 'node_modules'))
  execFileSync('npm', ['pack'], { cwd: clone, env: ownShell(), stdio: 'pipe' })
  const [tarball] = readdirSync(clone).filter(name => name.endsWith('.tgz'))
  execFileSync('tar', ['-xzf', join(clone, tarball!), '-C', folder])
  return readdirSync(join(folder, 'package'), { recursive: true, encoding: 'utf8' })
}

/** The software adapter, which users without a GPU install beside the package. */
const ADAPTER = 'node_modules/@sparticuz/chromium'

/**
 * A project below `root`, where {@link packFresh} has unpacked: the package in node_modules, its command in `.bin` as npm puts it there,
 * and what it depends on, not what it is developed with.
 */
export function packedProject(root: string, name: string, files: Record<string, string>): string {
  const folder = join(root, name)
  const modules = join(folder, 'node_modules')
  mkdirSync(modules, { recursive: true })
  cpSync(join(root, 'package'), join(modules, 'kernelgrad'), { recursive: true })
  mkdirSync(join(modules, '.bin'))
  symlinkSync('../kernelgrad/bin/kernelgrad.js', join(modules, '.bin', 'kernelgrad'))
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'))
  for (const [path, { dev }] of Object.entries<{ dev?: boolean }>(packages)) {
    if ((dev && path !== ADAPTER) || !/^node_modules\/(?:@[^/]+\/)?[^/]+$/.test(path) || !existsSync(path))
      continue
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    symlinkSync(resolve(path), join(folder, path))
  }
  for (const [file, text] of Object.entries({ 'package.json': '{ "type": "module" }', ...files }))
    writeFileSync(join(folder, file), text)
  return folder
}
