// The project's own tests on this adapter, a process a file: those of the kernels, and those that hold a claim to the bit.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Context } from './part.ts'

// Seen from dist/bench/accept.
const TESTS = fileURLToPath(new URL('../../test/', import.meta.url))
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** What a file of tests told. */
export interface TestFile {
  file: string
  passed: number
  total: number
  skipped: number
  /** The tests that failed, or why the file ended early. */
  failed: string[]
  seconds: number
}

/** A claim, and the tests that hold where it does. */
export interface Claim extends TestFile {
  claim: string
  holds: boolean
}

/** Those with `quick` take seconds on a software adapter. */
export const CLAIMS: { claim: string; file: string; quick?: boolean }[] = [
  {
    claim: 'rows of a table that sat steps out equal those of a dense parameter, to the bit',
    file: 'optim/engine',
  },
  {
    claim: 'AdamW equals PyTorch’s in float64 over 300 steps, sparse and dense alike to the bit',
    file: 'optim/adamw',
  },
  {
    claim: 'a table and a dense parameter that are frozen for some steps agree, to the bit',
    file: 'optim/frozen',
    quick: true,
  },
  { claim: 'a step that overflows in f16 changes nothing, to the bit', file: 'optim/grad-scaler' },
  {
    claim: 'a run that is stopped and resumed ends as one that was not, to the bit, f16 too',
    file: 'train/resume',
  },
  {
    claim: 'fused kernels train like their unfused twins; the same seed gives the same weights, to the bit',
    file: 'nn/training',
  },
  { claim: 'f16 stores and sums as its oracle', file: 'nn/mixed-precision' },
  { claim: 'every operation’s gradient agrees with differences of the oracle', file: 'autograd/gradcheck' },
]

/** Kernel tests that a quick run takes. */
const QUICK = ['kernels/transpose', 'kernels/relu']

export async function claims({ quick, report, say }: Context): Promise<void> {
  const done: Claim[] = []
  for (const { claim, file } of CLAIMS.filter(one => !quick || one.quick)) {
    const result = await runFile(`${file}.test.js`)
    done.push({ claim, holds: result.failed.length === 0, ...result })
    say(`${file}: ${result.passed} of ${result.total}`)
    report({ claims: done, of: quick ? 1 : CLAIMS.length })
  }
}

export async function tests({ quick, report, say }: Context): Promise<void> {
  const all = readdirSync(`${TESTS}kernels`)
    .filter(file => file.endsWith('.test.js'))
    .map(file => `kernels/${file}`)
    .sort()
  const files = quick ? all.filter(file => QUICK.some(name => file === `${name}.test.js`)) : all
  const done: TestFile[] = []
  for (const file of files) {
    const result = await runFile(file)
    done.push(result)
    say(`${file}: ${result.passed} of ${result.total}`)
    report({ files: done, of: files.length })
  }
}

/** Runs a file of tests on the adapter that this process takes. */
function runFile(file: string): Promise<TestFile> {
  return new Promise(resolve => {
    const began = Date.now()
    const child = spawn(process.execPath, [`${TESTS}${file}`], {
      cwd: ROOT,
      env: { ...process.env, FORCE_COLOR: '0', KERNELGRAD_TUNING: 'off' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let out = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', text => {
        out += text
      })
    child.on('close', (code, signal) => {
      const read = (word: string) => Number(new RegExp(`^ +${word}: +(\\d+)`, 'm').exec(out)?.[1] ?? 0)
      const [total, passed, skipped] = [read('Total'), read('Passed'), read('Skipped')]
      const failed = [...out.matchAll(/^ *FAIL +"(.*)"$/gm)].map(([, name]) => name!)
      if (!failed.length && (code || signal || passed !== total || !(total + skipped)))
        failed.push(`${signal ?? `exit code ${code}`}: ${out.trim().split('\n').slice(-3).join(' ')}`)
      resolve({ file, passed, total, skipped, failed, seconds: (Date.now() - began) / 1000 })
    })
  })
}
