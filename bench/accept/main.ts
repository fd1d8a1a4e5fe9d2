// From arguments to an exit code: 0 all claims hold, 1 something does not, 2 called wrongly, a signal's own where one came.
import { parseArgs } from 'node:util'
import { KernelgradError, UsageError } from '../../src/errors.ts'
import { bundle } from './bundle.ts'
import type { Context } from './part.ts'
import { PARTS } from './parts.ts'
import { accept, type Message } from './run.ts'

const USAGE = `usage: npm run gpu-accept -- [--out FOLDER] [--quick] [--only PART]… [--minutes N]
       npm run gpu-accept -- --bundle FOLDER
  --out      folder for gpu-accept.json and gpu-accept.html; the current one unless given
  --quick    the smallest sizes: shows that everything runs
  --only     one of ${PARTS.map(({ name }) => name).join(', ')}
  --minutes  that all parts together may take; 10 unless given
  --bundle   instead: makes a folder that runs on a machine of this kind without node, npm or a network`

// A card's matrix units are tried, and taken where they are right, unless the user says otherwise.
process.env.KERNELGRAD_MATRIX_UNITS ??= 'on'

const print = (line: string) => void process.stdout.write(`${line}\n`)

/** Runs one part, in the process that was started for it. */
async function runPart(name: string, quick: boolean): Promise<number> {
  const part = PARTS.find(part => part.name === name)!
  const send = (message: Message) => void process.send!(message)
  const context: Context = { quick, report: report => send({ report }), say: say => send({ say }) }
  let failed = false
  try {
    await part.run(context)
  } catch (error) {
    failed = true
    send({ failed: (error as Error).stack ?? String(error) })
  }
  // Exits once the messages are out.
  process.disconnect()
  return failed ? 1 : 0
}

async function main(): Promise<number> {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    options: {
      out: { ...text, default: '.' },
      quick: { type: 'boolean', default: false },
      only: { ...text, multiple: true },
      minutes: { ...text, default: '10' },
      bundle: text,
      part: text,
    },
  })
  const { out, quick, only, part } = values
  if (part !== undefined) return runPart(part, quick)
  if (values.bundle !== undefined) return bundle(values.bundle, print)
  const minutes = Number(values.minutes)
  if (!(minutes > 0)) throw new UsageError(`--minutes is '${values.minutes}', expected a number above 0`)
  for (const name of only ?? [])
    if (!PARTS.some(part => part.name === name)) throw new UsageError(`--only ${name} is no part`)
  return accept({ quick, out, minutes, only, print })
}

try {
  process.exitCode = await main()
} catch (error) {
  const { code = '' } = error as NodeJS.ErrnoException
  const wrong = error instanceof UsageError || code.startsWith('ERR_PARSE_ARGS')
  const { message, stack } = error as Error
  const told = wrong ? `${message}\n${USAGE}` : error instanceof KernelgradError ? message : stack
  process.stderr.write(`error: ${told}\n`)
  process.exitCode = wrong ? 2 : 1
}
