// Which optimizer a run or a stage has: `optim` in transformers' names where it has one, and `optim_args`, what the optimizer
// takes besides the keys that all share (rates, weight_decay, adam_beta1 …).
import * as v from 'valibot'
import { ConfigError } from '../errors.ts'
import { flag, isObject, nonNegative, oneOf, parseStrict, real, strict } from './schema.ts'

/** What `optim_args` may hold, under PyTorch's names and with its defaults. */
const ARGS = {
  adamw_torch: strict({}),
  adam: strict({}),
  sgd: strict({
    momentum: v.optional(nonNegative, 0),
    dampening: v.optional(
      real('that is finite', () => true),
      0,
    ),
    nesterov: v.optional(flag, false),
  }),
  rowwise_adagrad: strict({ eps: v.optional(nonNegative, 1e-8) }),
}

/** Optimizers by name: `torch.optim.AdamW`, `Adam` and `SGD`, and FBGEMM's row-wise Adagrad. */
type OptimName = keyof typeof ARGS
/** `optim` and `optim_args` of a run or a stage, with every default. */
type OptimSettings = {
  [K in OptimName]: { optim: K; optim_args: v.InferOutput<(typeof ARGS)[K]> }
}[OptimName]

/** For a schema: `optim`, and `optim_args`, which `optimSettings` checks. */
export const optimName = oneOf(Object.keys(ARGS) as OptimName[])
export const optimArgs = v.custom<Record<string, unknown>>(
  isObject,
  'expected an object, such as {"momentum": 0.9} for sgd',
)

interface Given {
  optim: OptimName
  optim_args: Record<string, unknown>
}

/** A stage's optimizer: with another `optim`, the run's `optim_args` mean nothing to it. */
export const stageOptim = (config: Given, { optim = config.optim, optim_args }: Partial<Given>): Given => ({
  optim,
  optim_args: optim_args ?? (optim === config.optim ? config.optim_args : {}),
})

/**
 * Checks `optim_args` against `optim` and fills in the defaults.
 * @throws ConfigError naming `where`, the key and what was expected.
 */
export function optimSettings({ optim, optim_args }: Given, where: string): OptimSettings {
  const settings = {
    optim,
    optim_args: parseStrict(ARGS[optim], optim_args, `${where}: optim_args of ${optim}`),
  } as OptimSettings
  if (settings.optim === 'sgd') {
    const { momentum, dampening, nesterov } = settings.optim_args
    // PyTorch refuses it too.
    if (nesterov && (momentum === 0 || dampening !== 0))
      throw new ConfigError(
        `${where}: optim_args of sgd: nesterov needs a momentum and no dampening, got momentum ${momentum} and dampening ${dampening}`,
      )
  }
  return settings
}
