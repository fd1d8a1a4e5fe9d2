// The command line with the real commands, in this process, with what it writes kept.
import { COMMANDS } from '../../src/cli/commands.ts'
import { runCli } from '../../src/cli/run.ts'

export interface Captured {
  code: number
  out: string
  err: string
}

/** Runs one command line; nothing of it reaches the terminal. */
export async function kernelgrad(...args: string[]): Promise<Captured> {
  const told = { out: '', err: '' }
  const keep = (key: 'out' | 'err') =>
    ((text: string | Uint8Array) => {
      told[key] += String(text)
      return true
    }) as typeof process.stdout.write
  const [stdout, stderr] = [process.stdout.write, process.stderr.write]
  process.stdout.write = keep('out')
  process.stderr.write = keep('err')
  try {
    const code = await runCli(args, { commands: COMMANDS, version: '0', env: {} })
    return { code, ...told }
  } finally {
    process.stdout.write = stdout
    process.stderr.write = stderr
  }
}
