import { readFileSync } from 'node:fs'
import { reason } from '../data/files.ts'
import { COMMANDS } from './commands.ts'
import { endAtSignals } from './interrupt.ts'
import { runCli } from './run.ts'

/** What could not be told, though someone may have wanted to hear it. */
let lost: Error | undefined

// Whoever listened and has gone (`kernelgrad ... | head`, a closed terminal) stops no work: it goes on untold, and the exit code
// says how it went. Anything else, such as a full disk behind `> file`, loses what was asked for.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    const gone =
      error.code === 'EPIPE' || error.code === 'ECONNRESET' || (error.code === 'EIO' && stream.isTTY)
    if (!gone) lost ??= error
  })
process.on('exit', code => {
  if (!lost || code) return
  process.exitCode = 1
  process.stderr.write(`error: the output could not be written: ${reason(lost)}\n`)
})
endAtSignals()

// Seen from dist/src/cli/main.js.
const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
process.exitCode = await runCli(process.argv.slice(2), { commands: COMMANDS, version })
