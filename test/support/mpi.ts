// Processes over MPI in tests: the launchers of this machine, and what became of those they start.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'

export interface Launcher {
  name: 'Open MPI' | 'MPICH'
  command: string
  args: string[]
}

// As root, and for more ranks than cores, Open MPI wants to be told so.
const KNOWN: Launcher[] = [
  {
    name: 'Open MPI',
    command: 'mpiexec.openmpi',
    args: ['--oversubscribe', ...(process.getuid?.() === 0 ? ['--allow-run-as-root'] : [])],
  },
  { name: 'MPICH', command: 'mpiexec.mpich', args: [] },
]

const hasKoffi = await import('koffi').then(
  () => true,
  () => false,
)

/** Those that can be used here; why another cannot is printed. */
export const launchers = KNOWN.filter(({ name, command }) => {
  const there = spawnSync(command, ['--version']).status === 0
  if (!there) console.log(`skip: ranks over ${name}: there is no ${command}`)
  else if (!hasKoffi) console.log(`skip: ranks over ${name}: koffi is not installed`)
  return there && hasKoffi
})

export interface Ended {
  code: number | null
  /** What all ranks and the launcher printed, in the order it came. */
  out: string
}

/** What is under way. */
export interface Job {
  ended: Promise<Ended>
  /** Resolves with the ids of the processes, by rank, once each has printed its own. */
  pids: Promise<number[]>
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Starts `script` (compiled, with arguments) as `size` ranks. Environment variables are passed on by both launchers. */
export function launch(
  { command, args }: Launcher,
  size: number,
  script: string[],
  env: Record<string, string> = {},
): Job {
  const child = spawn(command, [...args, '-n', String(size), process.execPath, ...script], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  let out = ''
  const seen = new Map<number, number>()
  let found: (pids: number[]) => void
  const pids = new Promise<number[]>(resolve => {
    found = resolve
  })
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      out += text
      for (const [, rank, pid] of out.matchAll(/^rank (\d+) pid (\d+)$/gm))
        seen.set(Number(rank), Number(pid))
      if (seen.size === size) found(Array.from({ length: size }, (_, rank) => seen.get(rank) as number))
    })
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => {
      running.delete(child)
      resolve({ code, out })
    })
  })
  return { ended, pids }
}

/** Waits until none of the processes is there any more: a launcher does not wait for those that it has killed. */
export async function allGone(pids: readonly number[]): Promise<void> {
  while (pids.some(alive)) await new Promise(resolve => setTimeout(resolve, 20))
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}
