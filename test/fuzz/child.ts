/** A process that makes and reads cases one after the other; main.ts watches over it and starts another where it dies. */
import { FORMATS } from './formats.ts'

interface Request {
  format: string
  seed: number
  number: number
}

process.on('message', async ({ format, seed, number }: Request) => {
  const { make, read } = FORMATS[format]!
  const peak = process.resourceUsage().maxRSS
  try {
    const made = await make(seed, number)
    const reading = await read(made)
    process.send!({
      kind: made.kind,
      base: made.base,
      grown: process.resourceUsage().maxRSS - peak,
      ...reading,
    })
  } catch (error) {
    process.send!({
      kind: 'unknown',
      base: '',
      grown: 0,
      outcome: 'other',
      faults: [`the test itself: ${(error as Error).stack}`],
    })
  }
})
