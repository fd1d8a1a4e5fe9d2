import type { ResolvedTrainerConfig } from '../config/index.ts'
import { optimSettings } from '../config/optimizer.ts'
import type { Model } from '../models/index.ts'
import { AdamW, type Optimizer } from '../optim/index.ts'
import { namedGroups, type TrainedGroup } from './parameter-groups.ts'

/** The optimizer that a stage's settings name, and what the rates of its groups are called. */
export async function createOptimizer(
  model: Model,
  config: ResolvedTrainerConfig,
): Promise<{ optimizer: Optimizer; rateNames: string[] }> {
  const named = namedGroups(model, config)
  const groups = named.map(([, group]) => group)
  return { optimizer: await optimizerOf(model, config, groups), rateNames: named.map(([name]) => name) }
}

/** All but AdamW are loaded once they are asked for: pages are to stay small. */
async function optimizerOf(
  { gpu }: Model,
  config: ResolvedTrainerConfig,
  groups: TrainedGroup[],
): Promise<Optimizer> {
  const { adam_beta1, adam_beta2, adam_epsilon, weight_decay: weightDecay } = config
  const adam = { betas: [adam_beta1, adam_beta2] as const, eps: adam_epsilon, weightDecay }
  const { optim, optim_args } = optimSettings(config, 'trainer')
  switch (optim) {
    case 'adamw_torch':
      return new AdamW(gpu, groups, adam)
    case 'adam':
      return new (await import('../optim/rules/adam.ts')).Adam(gpu, groups, adam)
    case 'sgd':
      return new (await import('../optim/rules/sgd.ts')).SGD(gpu, groups, { ...optim_args, weightDecay })
    case 'rowwise_adagrad': {
      const { RowwiseAdagrad } = await import('../optim/rules/rowwise-adagrad.ts')
      return new RowwiseAdagrad(gpu, groups, { ...optim_args, weightDecay })
    }
  }
}

/**
 * The learning rates of the step just taken, as a log has them: `learning_rate`, that of the first group, as transformers 5 logs it; and where
 * groups of several names are trained, `learning_rate_encoder` and so on.
 */
export function loggedRates(
  { groups }: Pick<Optimizer, 'groups'>,
  names: readonly string[],
): Record<string, number> {
  const rates: Record<string, number> = { learning_rate: groups[0]!.lr }
  if (new Set(names).size > 1)
    for (const [i, name] of names.entries()) rates[`learning_rate_${name}`] = groups[i]!.lr
  return rates
}
