// Where the cache is, through every setting and failure of it; and the unpacked adapter, damaged in every file. No device is needed.
// Waits for CI: it unpacks the adapter several times
import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { passingCacheName } from '../../src/gpu/cache-folder.ts'
import { findPackage } from '../../src/gpu/embedded.ts'

const root = mkdtempSync(join(tmpdir(), 'kernelgrad-cache-'))
test.after(() => rmSync(root, { recursive: true }))
const at = (...names: string[]) => join(root, ...names)
const uid = process.getuid?.() ?? 0

/** Runs a script in a process with this environment alone, in a folder of its own that must stay empty. */
function inProcess(env: Record<string, string>, script: string): { out: string; err: string } {
  const cwd = mkdtempSync(at('cwd-'))
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd,
    env: { PATH: process.env.PATH!, TMPDIR: at('tmp'), HOME: at('home'), ...env },
    encoding: 'utf8',
  })
  assert.equal(readdirSync(cwd), [], 'nothing is made where the process stands')
  return { out: stdout.trim(), err: stderr }
}
const module = (name: string) => pathToFileURL(resolve(`dist/src/gpu/${name}.js`)).href
const WRITE = `
  import { readCache, writeCache } from '${module('platform-node')}'
  try { const path = await writeCache('a.json', 'text'); console.log(path, readCache('a.json')) }
  catch (error) { console.log(error.name + ': ' + error.message) }`
const passing = () => at('tmp', `kernelgrad-${uid}`, 'a.json')

function fresh(): void {
  for (const name of ['tmp', 'home', 'cache']) {
    rmSync(at(name), { recursive: true, force: true })
    mkdirSync(at(name))
  }
}

test('settings that name no folder by its whole path are none, and what cannot be written has a substitute', () => {
  const file = at('file')
  writeFileSync(file, '')
  symlinkSync(at('nowhere', 'below'), at('dangling'))
  for (const [env, path] of [
    [{ XDG_CACHE_HOME: at('cache') }, at('cache', 'kernelgrad', 'a.json')],
    [{ XDG_CACHE_HOME: at('cache', 'new', 'deep') }, at('cache', 'new', 'deep', 'kernelgrad', 'a.json')],
    [{ XDG_CACHE_HOME: '' }, at('home', '.cache', 'kernelgrad', 'a.json')],
    [{ XDG_CACHE_HOME: 'relative' }, at('home', '.cache', 'kernelgrad', 'a.json')],
    [{ XDG_CACHE_HOME: './.cache' }, at('home', '.cache', 'kernelgrad', 'a.json')],
    [{ XDG_CACHE_HOME: file }, passing()],
    [{ XDG_CACHE_HOME: join(file, 'below') }, passing()],
    [{ XDG_CACHE_HOME: '/proc/nope' }, passing()],
    [{ XDG_CACHE_HOME: at('dangling') }, passing()],
    [{ HOME: file }, passing()],
    [{ HOME: '/proc/nope' }, passing()],
  ] as const) {
    fresh()
    const { out, err } = inProcess(env, WRITE)
    assert.is(out, `${path} text`, JSON.stringify(env) + err)
  }
  assert.is(statSync(at('tmp', `kernelgrad-${uid}`)).mode & 0o777, 0o700)
})

test('the common folder is trusted only where nobody else could have written', () => {
  fresh()
  const own = at('tmp', `kernelgrad-${uid}`)
  const says =
    /^ConfigError: what was measured cannot be kept \(.*file\/kernelgrad: part of the path is a file, not a folder; .*: it belongs to another user, or others may write into it\); set XDG_CACHE_HOME to the whole path/
  mkdirSync(own)
  chmodSync(own, 0o777)
  assert.match(inProcess({ XDG_CACHE_HOME: at('file') }, WRITE).out, says)
  rmSync(own, { recursive: true })
  mkdirSync(at('tmp', 'trap'))
  symlinkSync(at('tmp', 'trap'), own)
  assert.match(inProcess({ XDG_CACHE_HOME: at('file') }, WRITE).out, says)
  assert.equal(readdirSync(at('tmp', 'trap')), [])
})

test('a write that fails leaves neither file nor folder, and says every place and reason', () => {
  fresh()
  // As a full disk would.
  const full = `
    import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    fs.fsyncSync = () => { throw Object.assign(new Error('full'), { code: 'ENOSPC' }) }
    syncBuiltinESMExports()
    const { writeCache } = await import('${module('platform-node')}')
    try { await writeCache('a.json', 'text') } catch (error) { console.log(error.name + ': ' + error.message) }`
  const { out } = inProcess({}, full)
  assert.match(
    out,
    /^ConfigError: what was measured cannot be kept \(.*home\/\.cache\/kernelgrad: no space left on the device; .*tmp\/kernelgrad-\d+: no space left on the device\); set/,
  )
  for (const name of ['home', 'tmp']) assert.equal(readdirSync(at(name)), [], name)
})

const here = process.platform === 'linux' && process.arch === 'x64'
const hasPackage = (() => {
  try {
    return here && Boolean(findPackage())
  } catch {
    return false
  }
})()
if (!hasPackage) console.log('skip: the embedded adapter is not installed')
const withAdapter = hasPackage ? test : test.skip

withAdapter(
  'an adapter that is damaged in any file is unpacked again, and what dead processes left goes',
  () => {
    fresh()
    const cache = at('cache', 'kernelgrad')
    const open = `
    import { openEmbedded } from '${module('embedded')}'
    console.log(openEmbedded() ?? process.env.VK_ICD_FILENAMES)`
    const look = () => {
      const { out, err } = inProcess({ XDG_CACHE_HOME: at('cache') }, open)
      assert.match(out, /^\/.*swiftshader-[\d.]+\/vk_swiftshader_icd\.json$/, err)
      assert.ok(out.startsWith(cache))
      return join(out, '..')
    }
    const folder = look()
    const contents = () =>
      Object.fromEntries(
        readdirSync(folder).map(name => [name, readFileSync(join(folder, name)).toString('base64')]),
      )
    const whole = contents()
    const { ino } = statSync(folder)
    look()
    assert.is(statSync(folder).ino, ino, 'a whole one stays')
    for (const name of Object.keys(whole)) {
      const path = join(folder, name)
      for (const damage of [
        () => rmSync(path),
        () => truncateSync(path, statSync(path).size - 1),
        () => appendFileSync(path, 'x'),
        () => {
          const bytes = readFileSync(path)
          bytes[bytes.length >> 1]! ^= 1
          writeFileSync(path, bytes)
        },
      ]) {
        // The libraries take long; for them one kind of damage each does.
        if (name.includes('.so') && damage.toString().includes('appendFile')) continue
        damage()
        look()
        assert.equal(contents(), whole, name)
      }
    }
    rmSync(folder, { recursive: true })
    writeFileSync(folder, 'a file')
    const dead = spawnSync(process.execPath, ['-e', '']).pid
    const left = [`${folder}.${dead}`, passingCacheName(folder).replace(`.${process.pid}.`, `.${dead}.`)]
    for (const path of left) mkdirSync(path)
    mkdirSync(`${folder}.${process.pid}`)
    look()
    assert.equal(contents(), whole)
    for (const path of left) assert.not(existsSync(path))
    assert.ok(existsSync(`${folder}.${process.pid}`), 'of a process that lives')
  },
)

test.run()
