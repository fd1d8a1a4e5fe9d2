import type { ResolvedTrainerConfig } from '../config/index.ts'
import { optimSettings } from '../config/optimizer.ts'
import type { Model } from '../models/index.ts'
import { AdamW, type Optimizer } from '../optim/index.ts'
import { parameterGroups } from './parameter-groups.ts'

/** The optimizer that a stage's settings name. All but AdamW are loaded once they are asked for: pages are to stay small. */
export async function createOptimizer(model: Model, config: ResolvedTrainerConfig): Promise<Optimizer> {
  const { gpu } = model
  const groups = parameterGroups(model, config)
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
