// What an optimizer is besides the engine (optimizer.ts): a rule says what its options are, which numbers it reads in a step,
// what it keeps for an element or a row, and, in WGSL, what becomes of both.
import { closest } from '../check.ts'
import { ConfigError } from '../errors.ts'

/** What every rule's settings of a group hold. */
export interface Settings {
  /** Learning rate. */
  lr: number
}

/** An optimizer's rule: data and small functions, one file each in src/optim/rules. */
export interface Rule<S extends Settings = Settings> {
  /** What messages call it: the class's name. */
  readonly name: string
  /** Declares `State`, `Step`, `update`, `corrected` and `void_step`, as wgsl/optimizer_adamw.wgsl does. */
  readonly wgsl: string
  /** Every option with its default, under PyTorch's names; others are refused. */
  readonly defaults: Readonly<Record<string, unknown>>
  /** One number a row is kept for tables, in place of numbers per element: then `wgsl` declares `decayed` and `moved` too. */
  readonly byRow?: boolean
  /** What is kept of a group's options. */
  settings(options: Record<string, unknown>): S
  /** Says what a setting is that cannot be right; called before every step, because settings may be changed between steps. */
  check(settings: S, check: Check): void
  /** Names of what is kept, as torch's `state_dict` has them, in the order of s0, s1. */
  states(groups: readonly S[]): readonly string[]
  /** Whether a table's row changes in a step that has no gradient for it. */
  movesIdleRows(settings: S, states: readonly string[]): boolean
  /** The numbers of `Step` at step `step`, counted from 1; computed in float64. */
  numbers(settings: S, step: number): number[]
  /** What `corrected` makes these numbers of, where only the device knows how many steps were taken. */
  pending(settings: S): number[]
  /** A setting that does not count in the step that brings a parameter its first gradient; none where left out. */
  differsInFirstStep?(settings: S): string | undefined
}

/** Throws a ConfigError that names optimizer, group, setting, value and what was expected. */
export type Check = (holds: boolean, name: string, value: unknown, expected: string) => void

/** The checks of group `index` of a rule's optimizer. */
export const checkOf =
  ({ name: rule }: Pick<Rule, 'name'>, index: number): Check =>
  (holds, name, value, expected) => {
    if (!holds)
      throw new ConfigError(`${rule}: parameter group ${index}: ${name} is ${value}, expected ${expected}`)
  }

/** A number that is finite and not negative. */
export const isNonNegative = (value: unknown): boolean => Number.isFinite(value) && (value as number) >= 0

/** A factor by which something decays. */
export const isDecay = (value: unknown): boolean => isNonNegative(value) && (value as number) < 1

/** Which option is meant, where one is close. */
function near(key: string, names: readonly string[]): string {
  const found = closest(key, names)
  return found === undefined ? '' : `did you mean '${found}'? `
}

/** A group's options over the optimizer's over the rule's; one that is undefined counts as left out. */
export function withDefaults(
  { name, defaults }: Pick<Rule, 'name' | 'defaults'>,
  ...given: object[]
): Record<string, unknown> {
  const options: Record<string, unknown> = { ...defaults }
  for (const [key, value] of given.flatMap(each => Object.entries(each))) {
    if (!(key in defaults))
      throw new ConfigError(
        `${name} has no option '${key}'; ${near(key, Object.keys(defaults))}its options are ${Object.keys(defaults).join(', ')}`,
      )
    options[key] = value ?? options[key]
  }
  return options
}
