// The package as a publisher makes it: of a fresh clone after `npm ci`, by `npm pack` without any option.
import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync, symlinkSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

/** What git ignores, and git's own. */
const NOT_CLONED = new Set(['node_modules', 'dist', '.git', 'runs', 'demo-data', 'src/wgsl', 'docs/site'])

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
  // A test run is itself started by npm, whose options are not the publisher's.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)))
  execFileSync('npm', ['pack'], { cwd: clone, env, stdio: 'pipe' })
  const [tarball] = readdirSync(clone).filter(name => name.endsWith('.tgz'))
  execFileSync('tar', ['-xzf', join(clone, tarball!), '-C', folder])
  return readdirSync(join(folder, 'package'), { recursive: true, encoding: 'utf8' })
}
