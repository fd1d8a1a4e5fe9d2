import { UsageError } from '../errors.ts'

/** One option of a subcommand. Its value arrives under the camelCase name that commander derives from the flags. */
export interface OptionSpec {
  /** As commander writes them: '--out <folder>', '-n, --rows <count>', '--json'. */
  flags: string
  description: string
  required?: boolean
  default?: unknown
  choices?: readonly string[]
  /** Turns the text given into the value; throw UsageError to refuse it. Of flags with `...`, text by text, each beside the value so far. */
  parse?: (text: string, before?: unknown) => unknown
}

/** A subcommand: a body, or a group of commands. */
export type CommandSpec = BodySpec | GroupSpec

/** A name that commands stand under, as 'experiment' in 'experiment pretrain'. */
export interface GroupSpec {
  name: string
  description: string
  commands: readonly BodySpec[]
}

/** What a command takes, and where its body is loaded from once it is asked for. */
export interface BodySpec {
  name: string
  description: string
  /** Of a group: the one that runs where the options come without a name. */
  isDefault?: boolean
  /** Positional arguments; each value joins the options under its name. Of the last, there may be several, or it may be left out. */
  arguments?: readonly { name: string; description: string; variadic?: boolean; optional?: boolean }[]
  options: readonly OptionSpec[]
  /** Lines as they are typed, shown by --help. */
  example: string
  /** What it is to several processes that `mpiexec` started: all of them share its work, or the first does it alone. Otherwise it is refused. */
  ranks?: 'all' | 'first'
  load(): Promise<CommandModule>
}

/** A command's body: gets the options, returns the exit code (nothing means 0), and throws to fail. */
interface CommandModule {
  // biome-ignore lint/suspicious/noConfusingVoidType: bodies that only return at their end are Promise<void>
  run(options: object): Promise<number | void>
}

/** Option parser: a whole number of at least `min`. */
export function wholeNumber(min: number): (text: string) => number {
  return text => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (Number.isSafeInteger(value) && value >= min) return value
    throw new UsageError(`expected a whole number of at least ${min}, got '${text}'`)
  }
}
