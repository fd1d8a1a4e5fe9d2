import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/**
 * Runs the command in a process of its own, in which Ctrl-C is pressed as soon as it tells what a pattern says; one after the
 * other where there are several.
 */
export function interrupted(args: string[], ...patterns: RegExp[]) {
  return new Promise<{ code: number | null; out: string; err: string }>(resolve => {
    const press = fileURLToPath(new URL('./press.js', import.meta.url))
    const env = {
      ...process.env,
      KERNELGRAD_TEST_PRESS: JSON.stringify(patterns.map(({ source }) => source)),
    }
    const child = spawn(process.execPath, ['--import', press, 'bin/kernelgrad.js', ...args], { env })
    const told = { out: '', err: '' }
    child.stdout.on('data', text => {
      told.out += text
    })
    child.stderr.on('data', text => {
      told.err += text
    })
    child.on('close', code => resolve({ code, ...told }))
  })
}
