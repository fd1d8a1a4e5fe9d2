import { readFileSync } from 'node:fs'
import { COMMANDS } from './commands.ts'
import { runCli } from './run.ts'

// A reader that has seen enough (`kernelgrad ... | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

// Seen from dist/src/cli/main.js.
const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
process.exitCode = await runCli(process.argv.slice(2), { commands: COMMANDS, version })
