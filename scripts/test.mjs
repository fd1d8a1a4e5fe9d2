// Runs every compiled test file (or those whose path contains one of the given words) in a process of its own, on the
// embedded adapter unless KERNELGRAD_ADAPTER says otherwise, and adds the counts up.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'

const words = process.argv.slice(2)
const files = readdirSync('dist/test', { recursive: true, withFileTypes: true })
  .filter(e => e.isFile() && e.name.endsWith('.test.js'))
  .map(e => relative('.', join(e.parentPath ?? e.path, e.name)))
  // What an earlier build compiled and is gone from test/ since is no test any more.
  .filter(f => existsSync(f.replace(/^dist./, '').replace(/js$/, 'ts')))
  .filter(f => !words.length || words.some(w => f.includes(w)))
  .sort()
// Choices that an earlier run stored on this machine do not decide what is tested.
const env = { KERNELGRAD_ADAPTER: 'embedded', KERNELGRAD_TUNING: 'off', FORCE_COLOR: '0', ...process.env }
const sum = { passed: 0, failed: 0, skipped: 0 }
const broken = []
for (const file of files) {
  const started = Date.now()
  const run = spawnSync(process.execPath, [file], { env, encoding: 'utf8', maxBuffer: 1 << 28 })
  const out = run.stdout + run.stderr
  const read = word => Number(new RegExp(`^ +${word}: +(\\d+)`, 'm').exec(out)?.[1] ?? 0)
  const [total, passed, skipped] = [
    Number(/^ +Total: +(\d+)/m.exec(out)?.[1] ?? 0),
    Number(/^ +Passed: +(\d+)/m.exec(out)?.[1] ?? 0),
    read('Skipped'),
  ]
  const ok = run.status === 0 && total > 0
  sum.passed += passed
  sum.skipped += skipped
  sum.failed += ok ? total - passed : Math.max(1, total - passed)
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  console.log(
    `${ok ? 'ok  ' : 'FAIL'} ${file.replace(/^dist\/test\//, '')}  ${passed}/${total}${skipped ? `, ${skipped} skipped` : ''}  ${seconds} s`,
  )
  for (const line of out.split('\n')) if (/^skip: /.test(line)) console.log(`     ${line}`)
  if (!ok) {
    broken.push(file)
    console.log(out)
  }
}
if (broken.length) console.log(`failed: ${broken.join(', ')}`)
console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`)
process.exit(sum.failed || !files.length ? 1 : 0)
