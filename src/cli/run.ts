// From argument list to exit code: 0 fine, 1 failed, 2 called wrongly, 130, 143 or 129 ended by a signal. Errors are one line on stderr; the stack trace
// comes only when asked for.
import { Command, CommanderError, Option } from 'commander'
import { closest } from '../check.ts'
import { KernelgradError, RankError, UsageError } from '../errors.ts'
import type { Launched } from '../ranks/launcher.ts'
import { endOthersAtExit, started } from '../ranks/open.ts'
import type { BodySpec, CommandSpec, GroupSpec, OptionSpec } from './command.ts'
import { InterruptedError } from './interrupt.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Where a run of the command line reads its surroundings and writes its messages. */
export interface CliContext {
  commands: readonly CommandSpec[]
  version: string
  env?: Environment
  out?: (text: string) => void
  err?: (text: string) => void
}

/** How long what is wrong on a rank waits for rank 0 to say it: then it is wrong on this one alone. */
const FIRST_SPEAKS_MS = 6000

/**
 * Runs one command line.
 * @param args arguments after the program's name.
 * @returns the exit code. Never throws.
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  const { env = process.env, err = text => process.stderr.write(text) } = context
  const launched = started(env)
  const rank = launched?.rank ?? 0
  const around: Surroundings = { launched, code: 0, begun: false }
  if (rank === 0) {
    const code = await runLine(args, context, around)
    if (launched && code && !around.begun) endOthersAtExit()
    return code
  }
  // Of processes that were started together, the first tells what all would tell.
  let held = ''
  const hold = (text: string) => {
    if (around.begun) err(text)
    else held += text
  }
  const code = await runLine(args, { ...context, out: () => {}, err: hold }, around)
  if (!held) return code
  // Where rank 0 has said it, its end is this one's.
  await new Promise(resolve => setTimeout(resolve, FIRST_SPEAKS_MS))
  err(held.replace(/^(error: )?/, `$1rank ${rank}: `))
  return code
}

/** What a run of the command line knows and tells of how it goes. */
interface Surroundings {
  launched: Launched | undefined
  code: number
  /** Whether a command's own work has begun. */
  begun: boolean
}

async function runLine(args: readonly string[], context: CliContext, around: Surroundings): Promise<number> {
  const { env = process.env, err = text => process.stderr.write(text) } = context
  const program = programOf(context, around)
  try {
    checkGroup(args, context.commands)
    await program.parseAsync(args, { from: 'user' })
    return around.code
  } catch (error) {
    // Commander has printed its own message (or the help, code 0) by now.
    if (error instanceof CommanderError) {
      if (error.code === 'commander.missingMandatoryOptionValue') err(strangers(args, context.commands))
      return error.exitCode === 0 ? 0 : 2
    }
    const stack = program.opts().stack || Boolean(env.KERNELGRAD_DEBUG && env.KERNELGRAD_DEBUG !== '0')
    // Of ranks, which all have the same to say, one says it.
    if (!(error instanceof RankError && !error.speaks)) err(describe(error, stack))
    if (error instanceof InterruptedError) return error.code
    return error instanceof UsageError ? 2 : 1
  }
}

/** A misspelt name within a group would pass for an argument of its default command, whose options are then missed. */
function checkGroup(args: readonly string[], commands: readonly CommandSpec[]): void {
  const [name, word] = args.filter(arg => arg !== '--stack')
  const group = commands.find(spec => spec.name === name)
  if (word === undefined || word.startsWith('-') || !group || !('commands' in group)) return
  const known = group.commands.map(spec => spec.name)
  if (!known.includes(word))
    throw new UsageError(`unknown command '${name} ${word}', expected one of ${known.join(', ')}`)
}

/** Options that a command has not, told beside one that is missed: it may be the misspelt one. */
function strangers(args: readonly string[], commands: readonly CommandSpec[]): string {
  const [name, word] = args.filter(arg => arg !== '--stack')
  const spec = commands.find(one => one.name === name)
  const body = spec && 'commands' in spec ? spec.commands.find(one => one.name === word) : spec
  if (!body) return ''
  const known = ['--stack', '--help', ...body.options.map(({ flags }) => /--[\w-]+/.exec(flags)?.[0] ?? '')]
  const unknown = args.map(arg => arg.split('=')[0]!).filter(arg => /^--\w/.test(arg) && !known.includes(arg))
  return unknown
    .map(arg => {
      const near = closest(arg, known)
      return `error: unknown option '${arg}'${near === undefined ? '' : `; did you mean ${near}?`}\n`
    })
    .join('')
}

/** The lines that stderr shows for a failure. */
function describe(error: unknown, stack: boolean): string {
  const message = error instanceof Error ? error.message || error.name : String(error)
  if (stack && error instanceof Error) return `error: ${message}\n${traces(error)}\n`
  if (error instanceof InterruptedError) return `${message}\n`
  // An error of our own says all there is to say; any other is a surprise whose origin may matter.
  if (error instanceof KernelgradError) return `error: ${message}\n`
  return `error: ${message}\nhint: set KERNELGRAD_DEBUG=1 or pass --stack for the stack trace\n`
}

function traces(error: Error): string {
  const own = error.stack ?? String(error)
  return error.cause instanceof Error ? `${own}\ncaused by: ${traces(error.cause)}` : own
}

function programOf(context: CliContext, around: Surroundings): Command {
  const { out = text => process.stdout.write(text), err = text => process.stderr.write(text) } = context
  const program = new Command('kernelgrad')
    .description('Train and serve BERT-CTR on any WebGPU device')
    .version(context.version)
    .option('--stack', 'print the stack trace of an error')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: out, writeErr: err })
    .exitOverride()
  for (const spec of context.commands) {
    if ('commands' in spec) addGroup(program, spec, around)
    else addCommand(program, spec, around)
  }
  return program
}

function addGroup(program: Command, { name, description, commands }: GroupSpec, around: Surroundings): void {
  const group = program.command(name).description(description).helpCommand(false)
  for (const spec of commands) addCommand(group, spec, around)
}

function addCommand(parent: Command, spec: BodySpec, around: Surroundings): void {
  const command = parent.command(spec.name, { isDefault: spec.isDefault }).description(spec.description)
  for (const { name, description, variadic, optional } of spec.arguments ?? []) {
    const value = variadic ? `${name}...` : name
    command.argument(optional ? `[${value}]` : `<${value}>`, description)
  }
  for (const option of spec.options) command.addOption(optionOf(option))
  command.addHelpText('after', `\nExample:\n${spec.example.replace(/^/gm, '  ')}`)
  command.action(async () => {
    if (!isMine(spec, around.launched)) return
    const positional = (spec.arguments ?? []).map(({ name }, i) => [name, command.processedArgs[i]])
    const { run } = await spec.load()
    around.begun = true
    around.code = (await run({ ...command.opts(), ...Object.fromEntries(positional) })) ?? 0
  })
}

/**
 * Whether this process runs a command that is not the work of several.
 * @throws UsageError where several would do the same over the same files.
 */
function isMine({ name, ranks }: BodySpec, launched: Launched | undefined): boolean {
  if (!launched || ranks === 'all') return true
  if (ranks === 'first') return launched.rank === 0
  const { launcher, rank, size } = launched
  if (size === 1 || (size === undefined && rank === 0)) return true
  throw new UsageError(
    `${name} is the work of one process, and ${launcher} started ${size ?? 'several'}: start it without, ` +
      'or set KERNELGRAD_MPI=off where they have nothing to do with each other',
  )
}

function optionOf({ flags, description, required, default: value, choices, parse }: OptionSpec): Option {
  const option = new Option(flags, description)
  if (required) option.makeOptionMandatory()
  if (value !== undefined) option.default(value)
  if (choices) option.choices(choices)
  if (parse) {
    option.argParser((text: string, before: unknown) => {
      try {
        return parse(text, before)
      } catch (error) {
        if (error instanceof UsageError) throw new UsageError(`option '${flags}': ${error.message}`)
        throw error
      }
    })
  }
  return option
}
