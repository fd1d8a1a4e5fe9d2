// Runs every compiled test file (or those whose path contains one of the given words) in a process of its own, on the
// embedded adapter unless KERNELGRAD_ADAPTER says otherwise, and adds the counts up. A file that says `// Waits for CI: why` in its first
// lines runs where CI is set, or where one of the words names it. Where CI is set, the tests of kernels, and files that say `// Runs again
// with the forms for GPUs`, run twice: with the adapter's forms of kernels and with those. Two files run at a time where there are
// cores for them; each one's output is kept together, and shown in the order of their names.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'

// The only clock: tests wait for what happens, and what never happens ends here. About a hundred times what a file takes.
const LIMIT_MINUTES = Number(process.env.KERNELGRAD_TEST_MINUTES ?? 30)

const words = process.argv.slice(2)
const sourceOf = file => file.replace(/^dist./, '').replace(/js$/, 'ts')
const all = readdirSync('dist/test', { recursive: true, withFileTypes: true })
  .filter(e => e.isFile() && e.name.endsWith('.test.js'))
  .map(e => relative('.', join(e.parentPath ?? e.path, e.name)))
  // What an earlier build compiled and is gone from test/ since is no test any more.
  .filter(f => existsSync(sourceOf(f)))
  .filter(f => !words.length || words.some(w => f.includes(w)))
  .sort()
/** Why a file waits for CI, if it does. */
const waits = file =>
  words.length || process.env.CI
    ? undefined
    : /^\/\/ Waits for CI: (.+)$/m.exec(readFileSync(sourceOf(file), 'utf8'))?.[1]
const again = file =>
  process.env.CI &&
  !process.env.KERNELGRAD_FORMS &&
  (file.includes(join('test', 'kernels')) ||
    /^\/\/ Runs again with the forms for GPUs/m.test(readFileSync(sourceOf(file), 'utf8')))
/** Makers whose forms differ from those of other GPUs in what a file tests. */
const makers = file =>
  /^\/\/ Runs again with the forms for GPUs of: (.+)$/m
    .exec(readFileSync(sourceOf(file), 'utf8'))?.[1]
    .split(', ') ?? []
/** The runs: a file, and what it is told besides. */
const files = all
  .filter(file => waits(file) === undefined)
  .flatMap(file => [
    { file },
    ...(again(file)
      ? ['hardware', ...makers(file).map(maker => `hardware/${maker}`)].map(forms => ({
          file,
          more: { KERNELGRAD_FORMS: forms },
        }))
      : []),
  ])
// Choices that an earlier run stored on this machine do not decide what is tested.
const env = { KERNELGRAD_ADAPTER: 'embedded', KERNELGRAD_TUNING: 'off', FORCE_COLOR: '0', ...process.env }

/** Processes under way. Each leads a group of its own, so that what it started ends with it. */
const running = new Set()
const end = child => {
  try {
    process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL')
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 }))
  process.on(signal, () => {
    for (const child of running) end(child)
    process.exit(code)
  })

/** What a process started that is still there: whoever reads the report sees what did not end. */
function alive({ pid }) {
  const { stdout } = spawnSync('ps', ['-eo', 'pgid,pid,stat,etime,args'], { encoding: 'utf8' })
  const lines = (stdout ?? '').split('\n').filter(line => Number.parseInt(line, 10) === pid)
  return lines.map(line => `\n  ${line.trim()}`).join('')
}

/** Runs a file to its end: what it told, and how it ended. */
function run({ file, more = {} }) {
  return new Promise(resolve => {
    const started = Date.now()
    const child = spawn(process.execPath, [file], {
      env: { ...env, ...more },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    let out = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', text => {
        out += text
      })
    let late
    const timer = setTimeout(() => {
      late = `no end after ${LIMIT_MINUTES} minutes; running were (group, id, state, age, command):${alive(child)}`
      end(child)
    }, LIMIT_MINUTES * 60_000)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      running.delete(child)
      const how = late ?? (code ? `exit code ${code}` : signal)
      resolve({ file, more, out, how, seconds: (Date.now() - started) / 1000 })
    })
  })
}

const sum = { passed: 0, failed: 0, skipped: 0 }
for (const file of all) {
  const why = waits(file)
  if (why === undefined) continue
  sum.skipped++
  console.log(`skip: ${file.replace(/^dist\/test\//, '')}: ${why}; set CI=1, or name it`)
}
const broken = []

function report({ file, more, out, how, seconds }) {
  const read = word => Number(new RegExp(`^ +${word}: +(\\d+)`, 'm').exec(out)?.[1] ?? 0)
  const [total, passed, skipped] = [read('Total'), read('Passed'), read('Skipped')]
  const ok = !how && total + skipped > 0 && passed === total
  sum.passed += passed
  sum.skipped += skipped
  sum.failed += ok ? total - passed : Math.max(1, total - passed)
  const counts = `${passed}/${total}${skipped ? `, ${skipped} skipped` : ''}`
  const with_ = Object.values(more).length ? ' (forms for GPUs)' : ''
  const name = file.replace(/^dist\/test\//, '') + with_
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}  ${counts}  ${seconds.toFixed(1)} s`)
  for (const line of out.split('\n')) if (/^skip: /.test(line)) console.log(`     ${line}`)
  if (ok) return
  broken.push(name)
  console.log(`${out}\n${name}: ${how ?? 'ended before its tests did'}`)
}

const ended = new Map()
let [next, shown] = [0, 0]
async function work() {
  while (next < files.length) {
    const at = next++
    ended.set(at, await run(files[at]))
    for (; ended.has(shown); shown++) {
      report(ended.get(shown))
      ended.delete(shown)
    }
  }
}
await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work))
if (broken.length) console.log(`failed: ${broken.join(', ')}`)
console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`)
process.exit(sum.failed || !files.length ? 1 : 0)
