// Options that several commands have.
import type { OptionSpec } from './command.ts'

/** Which adapter, where a command needs one. */
export const ADAPTER: OptionSpec = {
  flags: '--adapter <kind>',
  description: 'which adapter to use (default: KERNELGRAD_ADAPTER, or auto)',
  choices: ['auto', 'hardware', 'system', 'embedded'],
}

export const JSON_LINE: OptionSpec = {
  flags: '--json',
  description: 'print the result as one line of JSON, everything else to stderr',
}
