// Ranks in processes of their own on this machine: a large sum, and steps in which a sleep stands for the device's work, so that what is
// measured is the exchange alone.
import { spawnSync } from 'node:child_process'
import { loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { formatTable } from '../src/cli/table.ts'
import { KernelgradError } from '../src/errors.ts'

/** One run of some ranks. */
export interface RanksResult {
  launcher: string
  ranks: number
  /** The sleep that stands for the device; 0 for a sum alone. */
  deviceMs: number
  floats: number
  /** Median milliseconds of a step, and the least. */
  ms: number
  best: number
  /** Bytes that a rank sent in a step. */
  sent: number
  /** One rank's time over this one's, at as much work a rank; null for a sum alone. */
  efficiency: number | null
}

const LAUNCHERS = ['mpiexec.openmpi', 'mpiexec.mpich', 'mpiexec']
const PROCESS = fileURLToPath(new URL('./ranks-process.js', import.meta.url))

function run(launcher: string, size: number, ...args: (string | number)[]) {
  const open = /open/i.test(spawnSync(launcher, ['--version'], { encoding: 'utf8' }).stdout)
  const flags = open ? ['--oversubscribe', ...(process.getuid?.() === 0 ? ['--allow-run-as-root'] : [])] : []
  const command = [...flags, '-n', String(size), process.execPath, PROCESS, ...args.map(String)]
  const { stdout, stderr, status } = spawnSync(launcher, command, { encoding: 'utf8', timeout: 300_000 })
  if (status !== 0) throw new KernelgradError(`${launcher} ${command.join(' ')} failed:\n${stdout}${stderr}`)
  return JSON.parse(stdout) as { ms: number; best: number; sent: number; size: number }
}

/** @throws KernelgradError where this machine has no mpiexec, or a run fails */
export function benchRanks({ quick = false } = {}): RanksResult[] {
  const there = LAUNCHERS.filter(name => spawnSync(name, ['--version']).status === 0)
  const launchers = there.length > 1 ? there.filter(name => name !== 'mpiexec') : there
  if (!launchers.length)
    throw new KernelgradError('ranks: there is no mpiexec: apt install openmpi-bin or apt install mpich')
  const [large, small, times] = quick ? [10_000, 1000, 1] : [14_000_000, 1_400_000, 7]
  const results: RanksResult[] = []
  for (const launcher of launchers) {
    const sum = run(launcher, 2, 'sum', large, times)
    results.push({ launcher, ranks: 2, deviceMs: 0, floats: large, ...part(sum), efficiency: null })
    for (const deviceMs of quick ? [20] : [250, 1000]) {
      // One rank sleeps and sums nothing: it is alone.
      const one = run(launcher, 1, 'steps', small, times, deviceMs)
      const four = run(launcher, 4, 'steps', small, times, deviceMs)
      for (const of of [one, four])
        results.push({
          ...{ launcher, ranks: of.size, deviceMs, floats: small, ...part(of) },
          efficiency: one.ms / of.ms,
        })
    }
  }
  return results
}

const part = ({ ms, best, sent }: { ms: number; best: number; sent: number }) => ({ ms, best, sent })

export function ranksTable(results: readonly RanksResult[]): string {
  const head = ['launcher', 'ranks', 'device ms', 'floats', 'ms', 'best', 'MB sent a rank', 'of one rank']
  const cells = results.map(({ launcher, ranks, deviceMs, floats, ms, best, sent, efficiency }) => [
    launcher,
    ranks,
    deviceMs,
    floats,
    ms.toFixed(1),
    best.toFixed(1),
    (sent / 1e6).toFixed(1),
    efficiency === null ? '' : `${(efficiency * 100).toFixed(1)}%`,
  ])
  return `load ${loadavg()[0]?.toFixed(1)}\n\n${formatTable(head, cells)}`
}
