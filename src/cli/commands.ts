import type { CommandSpec } from './command.ts'

/** The subcommands, in the order that --help lists them. */
export const COMMANDS: readonly CommandSpec[] = []
