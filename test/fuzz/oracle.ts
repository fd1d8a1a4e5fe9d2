/** The same files read by pyarrow and Python's safetensors, where there is a Python that has them: tools/fuzz_oracle.py. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { isDeepStrictEqual } from 'node:util'
import type { Case, Reading } from './case.ts'

/** Where pyarrow is known to read less than there is, or not at all: by what was done, or by what it says. */
const PYTHON_ERRS = [
  /^pages without entries/, // it takes an empty page for the end of the column
  /^senseless statistics/, // it believes them
  /InitHeader EOF|InitBlock EOF/, // unsigned 32-bit deltas as DuckDB writes them
]

interface Answer {
  refused?: string
  values?: Record<string, unknown>
  refusals?: Record<string, string>
}

/** How the two readings of a file compare. */
interface Comparison {
  /** `both refuse`, `equal`, `we refuse more`, `we read more`, `differ`; per column, the gravest counts. */
  verdict:
    | 'both refuse'
    | 'equal'
    | 'Python errs'
    | 'we refuse more'
    | 'we read more'
    | 'differ'
    | 'Python died'
  /** What there is to look at. */
  detail: string
}

/** pyarrow too may work on a damaged file without end. */
const HANGS_AFTER = 30_000

export interface Oracle {
  compare(made: Case, reading: Reading): Promise<Comparison>
  close(): void
}

export function createOracle(python: string): Oracle {
  const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-fuzz-'))
  let child: ChildProcess | undefined
  let lines: AsyncIterator<string> | undefined
  const ask = async (path: string): Promise<Answer | undefined> => {
    if (!child || !lines) {
      child = spawn(python, ['tools/fuzz_oracle.py'], { stdio: ['pipe', 'pipe', 'ignore'] })
      lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
    }
    const running = child
    running.stdin!.write(`${path}\n`)
    const watch = setTimeout(() => running.kill('SIGKILL'), HANGS_AFTER)
    const { value, done } = await lines.next()
    clearTimeout(watch)
    if (!done) return JSON.parse(value as string) as Answer
    child = lines = undefined
    return undefined
  }
  return {
    async compare(made, reading) {
      const path = join(folder, made.name)
      writeFileSync(path, made.bytes)
      const answer = await ask(path)
      if (!answer) return { verdict: 'Python died', detail: '' }
      const found = judge(reading, answer)
      const errs = PYTHON_ERRS.some(what => what.test(made.kind) || what.test(found.detail))
      return errs && /differ|more/.test(found.verdict) ? { ...found, verdict: 'Python errs' } : found
    },
    close() {
      if (child) child.stdin!.end()
      rmSync(folder, { recursive: true })
    },
  }
}

function judge({ values = {}, refusals = {} }: Reading, theirs: Answer): Comparison {
  const refusedWhole = refusals['']
  if (theirs.refused !== undefined) {
    if (refusedWhole !== undefined || !Object.keys(values).length)
      return { verdict: 'both refuse', detail: '' }
    return { verdict: 'we read more', detail: `Python: ${theirs.refused}` }
  }
  if (refusedWhole !== undefined) return { verdict: 'we refuse more', detail: refusedWhole }
  let gravest: Comparison = { verdict: 'equal', detail: '' }
  for (const [name, value] of Object.entries(values)) {
    const theirValue = theirs.values?.[name]
    if (theirValue === undefined) {
      const why = theirs.refusals?.[name]
      if (why !== undefined) gravest = { verdict: 'we read more', detail: `${name}: Python: ${why}` }
    } else if (!same(value, theirValue))
      return {
        verdict: 'differ',
        detail: `${name}: ${JSON.stringify(value).slice(0, 300)} and Python ${JSON.stringify(theirValue).slice(0, 300)}`,
      }
  }
  if (gravest.verdict !== 'equal') return gravest
  const [more] = Object.keys(refusals).filter(name => theirs.values?.[name] !== undefined)
  return more === undefined ? gravest : { verdict: 'we refuse more', detail: `${more}: ${refusals[more]}` }
}

/** Equal, or equal as float32: Python says such a number with other digits. Bytes and texts of the same bytes are the same. */
function same(ours: unknown, theirs: unknown): boolean {
  if (isDeepStrictEqual(ours, theirs)) return true
  if (Array.isArray(ours) && Array.isArray(theirs))
    return ours.length === theirs.length && ours.every((value, i) => same(value, theirs[i]))
  if (typeof ours === 'number' && typeof theirs === 'number') return Math.fround(ours) === Math.fround(theirs)
  if (typeof ours === 'string' && typeof theirs === 'string' && ours[0] === 's' && theirs[0] === 'b')
    return Buffer.from(ours.slice(1)).toString('hex') === theirs.slice(1)
  return false
}
