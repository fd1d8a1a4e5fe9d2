// Time and peak memory of `kernelgrad preprocess` on raw files of any size, in a process of its own.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeRawKdd } from './raw-kdd.ts'

export interface PreprocessBench {
  rows: number
  seconds: number
  /** The most that was ever resident: VmHWM of the process, by Linux. */
  peakMiB: number
}

/**
 * Makes raw files below `folder`, unless an earlier run has, and preprocesses them there. What the command prints goes
 * to stderr.
 * @throws Error when the command fails.
 */
export async function benchPreprocess(folder: string, rows: number): Promise<PreprocessBench> {
  const raw = join(folder, `raw-${rows}`)
  const whole = join(raw, 'training.txt') // written last
  if (!existsSync(whole)) {
    process.stderr.write(`making ${rows} rows in ${raw}\n`)
    await writeRawKdd(raw, rows).catch(async error => {
      await rm(raw, { recursive: true, force: true })
      throw error
    })
  }
  const cli = fileURLToPath(new URL('../src/cli/main.js', import.meta.url))
  const args = [cli, 'preprocess', raw, '--out', join(folder, `data-${rows}`), '--rows', String(rows)]
  const started = Date.now()
  const child = spawn(process.execPath, [...args, '--json'], { stdio: ['ignore', 'ignore', 'inherit'] })
  let peakMiB = 0
  // The mark only rises, so the last reading is the peak but for the final quarter of a second.
  const timer = setInterval(() => {
    peakMiB = Math.max(peakMiB, peakOf(child.pid!))
  }, 250)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', resolve)
  })
  clearInterval(timer)
  if (code !== 0) throw new Error(`preprocess ended with exit code ${code}`)
  return { rows, seconds: (Date.now() - started) / 1000, peakMiB }
}

function peakOf(pid: number): number {
  const path = `/proc/${pid}/status`
  // The process may be gone already.
  const status = existsSync(path) ? readFileSync(path, 'utf8') : ''
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024
}
