// From argument list to exit code: 0 fine, 1 failed, 2 called wrongly, 130, 143 or 129 ended by a signal. Errors are one line on stderr; the stack trace
// comes only when asked for.
import { Command, CommanderError, Option } from 'commander'
import { closest } from '../check.ts'
import { KernelgradError, RankError, UsageError } from '../errors.ts'
import type { BodySpec, CommandSpec, GroupSpec, OptionSpec } from './command.ts'
import { InterruptedError } from './interrupt.ts'

/** Where a run of the command line reads its surroundings and writes its messages. */
export interface CliContext {
  commands: readonly CommandSpec[]
  version: string
  env?: Record<string, string | undefined>
  out?: (text: string) => void
  err?: (text: string) => void
}

/**
 * Runs one command line.
 * @param args arguments after the program's name.
 * @returns the exit code. Never throws.
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  const { env = process.env, err = text => process.stderr.write(text) } = context
  let code = 0
  const program = programOf(context, exit => {
    code = exit
  })
  try {
    checkGroup(args, context.commands)
    await program.parseAsync(args, { from: 'user' })
    return code
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

type SetCode = (code: number) => void

function programOf(context: CliContext, setCode: SetCode): Command {
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
    if ('commands' in spec) addGroup(program, spec, setCode)
    else addCommand(program, spec, setCode)
  }
  return program
}

function addGroup(program: Command, { name, description, commands }: GroupSpec, setCode: SetCode): void {
  const group = program.command(name).description(description).helpCommand(false)
  for (const spec of commands) addCommand(group, spec, setCode)
}

function addCommand(parent: Command, spec: BodySpec, setCode: SetCode): void {
  const command = parent.command(spec.name, { isDefault: spec.isDefault }).description(spec.description)
  for (const { name, description, variadic, optional } of spec.arguments ?? []) {
    const value = variadic ? `${name}...` : name
    command.argument(optional ? `[${value}]` : `<${value}>`, description)
  }
  for (const option of spec.options) command.addOption(optionOf(option))
  command.addHelpText('after', `\nExample:\n${spec.example.replace(/^/gm, '  ')}`)
  command.action(async () => {
    const positional = (spec.arguments ?? []).map(({ name }, i) => [name, command.processedArgs[i]])
    const { run } = await spec.load()
    setCode((await run({ ...command.opts(), ...Object.fromEntries(positional) })) ?? 0)
  })
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
