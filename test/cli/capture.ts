// The command line with the real commands, in this process, with what it writes kept.
import type { CommandSpec } from '../../src/cli/command.ts'
import { COMMANDS } from '../../src/cli/commands.ts'
import { runCli } from '../../src/cli/run.ts'

export interface Captured {
  code: number
  out: string
  err: string
}

/** Runs one command line; nothing of it reaches the terminal. */
export const kernelgrad = (...args: string[]): Promise<Captured> => captured(COMMANDS, args)

/** The same with other commands. */
export async function captured(commands: readonly CommandSpec[], args: string[]): Promise<Captured> {
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
    const code = await runCli(args, { commands, version: '0', env: {} })
    return { code, ...told }
  } finally {
    process.stdout.write = stdout
    process.stderr.write = stderr
  }
}
