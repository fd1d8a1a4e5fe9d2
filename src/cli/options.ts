// Options that several commands have.
import { memoryBytes } from '../config/memory-size.ts'
import { UsageError } from '../errors.ts'
import { type OptionSpec, wholeNumber } from './command.ts'

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

/**
 * Names of columns with commas between, as query_id,user_id; blanks do as well, where a shell makes several texts of them.
 * @throws UsageError for a name that is empty, or stands twice
 */
export function columnNames(text: string, before: unknown = []): string[] {
  const names = [...(before as string[]), ...text.split(',').map(name => name.trim())]
  const wrong = names.find((name, i) => !name || names.indexOf(name) < i)
  if (wrong === undefined) return names
  throw new UsageError(
    `'${text}': ${wrong ? `'${wrong}' stands twice` : 'a name is empty'}, expected columns with a comma between, as query_id,user_id`,
  )
}

/** @throws UsageError for what is no size with a unit */
function memory(text: string): number {
  const bytes = memoryBytes(text)
  if (bytes !== undefined) return bytes
  throw new UsageError(`expected a size with its unit, as 2GB or 512MiB, got '${text}'`)
}

/** Of rows to train on. */
export const TRAIN_MEMORY: OptionSpec = {
  flags: '--memory <size>',
  description:
    'what rows to train on may take in memory, as 2GB or 512MiB: where they take more, they are read anew each epoch (default: all are in memory)',
  parse: memory,
}

/** @throws UsageError for what is no port */
export function portNumber(text: string): number {
  const port = wholeNumber(0)(text)
  if (port < 65_536) return port
  throw new UsageError(`expected a port from 0 to 65535, got '${text}'`)
}
