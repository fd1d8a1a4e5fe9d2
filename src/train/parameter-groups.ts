// How the parameters of a model are trained: which stay as they are, at which rate the others learn, and which decay.
import type { Parameter } from '../autograd/index.ts'
import { expectNumber, NON_NEGATIVE, type Range, shown } from '../check.ts'
import type { ResolvedTrainerConfig } from '../config/index.ts'
import { ArgumentError, ConfigError } from '../errors.ts'
import { chooseNames } from '../nn/index.ts'
import { expectModel } from './checks.ts'
import type { ClickModel } from './model.ts'

/** The trainer's settings that parameter groups follow from. */
export type GroupSettings = Pick<ResolvedTrainerConfig, 'learning_rate' | 'encoder_learning_rate'> &
  Partial<Pick<ResolvedTrainerConfig, 'freeze' | 'no_decay' | 'layer_decay'>>

/** Parameters with a learning rate of their own, and without weight decay where that is 0. */
export interface TrainedGroup {
  /** In no other group. */
  params: Parameter[]
  /** Learning rate. */
  lr: number
  /** Left out: the optimizer's own. */
  weightDecay?: number
}

/**
 * Splits parameters as the notebook does: names with 'bert.' in them are the encoder's and learn at
 * `encoder_learning_rate`, the others at `learning_rate`. With `layer_decay` d, encoder layer l of L (from 0) learns at
 * d^(L - l) of the encoder's rate and its embeddings at d^(L + 1). With `freeze`, exactly the parameters that match are frozen; frozen
 * ones are in no group.
 * Source of the layers' rates: BEiT's `LayerDecayValueAssigner` (Bao et al. 2022), after ELECTRA (Clark et al. 2020).
 * @throws ConfigError for a pattern that matches nothing, for a layer of which only some of q, k and v are frozen, and where
 * nothing is left to train.
 */
export function parameterGroups(model: ClickModel, settings: GroupSettings): TrainedGroup[] {
  expectModel('parameterGroups', model, { placed: false })
  if (typeof settings !== 'object' || settings === null)
    throw new ArgumentError(
      `parameterGroups: settings is ${shown(settings)}, expected a trainer's configuration`,
    )
  const { learning_rate, encoder_learning_rate, freeze, no_decay = [], layer_decay = 1 } = settings
  expectNumber('parameterGroups: learning_rate', learning_rate, NON_NEGATIVE)
  expectNumber('parameterGroups: encoder_learning_rate', encoder_learning_rate, NON_NEGATIVE)
  expectNumber('parameterGroups: layer_decay', layer_decay, DECAY)
  if (freeze) freezeOnly(model, freeze)
  const parameters = [...model.namedParameters()]
  const kept = chooseNames(
    parameters.map(([name]) => name),
    no_decay,
    'no_decay',
    withClasses(model),
  )
  const layers = 1 + Math.max(...parameters.map(([name]) => layerOf(name) ?? -1))
  const groups = new Map<string, TrainedGroup>()
  for (const part of ['encoder', 'other']) {
    for (const [name, parameter] of parameters) {
      if (!parameter.requiresGrad || isEncoders(name) !== (part === 'encoder')) continue
      const lr =
        part === 'encoder'
          ? encoder_learning_rate * layer_decay ** (layers + 1 - depthOf(name, layers))
          : learning_rate
      const key = `${part} ${lr} ${kept.has(name)}`
      const group = groups.get(key) ?? { params: [], lr, ...(kept.has(name) ? { weightDecay: 0 } : {}) }
      group.params.push(parameter)
      groups.set(key, group)
    }
  }
  if (!groups.size) throw new ConfigError('every parameter of the model is frozen: nothing is left to train')
  return [...groups.values()]
}

const DECAY: Range = { says: 'a number in (0, 1]', takes: x => x > 0 && x <= 1 }

/** Freezes exactly what matches; where a pattern is wrong, all stays as it is. */
function freezeOnly(model: ClickModel, patterns: readonly string[]): void {
  const before = [...model.parameters()].map(parameter => ({ parameter, trained: parameter.requiresGrad }))
  try {
    model.unfreeze('*')
    model.freeze(...patterns)
  } catch (error) {
    for (const { parameter, trained } of before) parameter.requiresGrad = trained
    throw error
  }
}

const isEncoders = (name: string) => name.includes('bert.')

/** The number in '…layer.2.…'. */
function layerOf(name: string): number | undefined {
  const found = isEncoders(name) && /\.layer\.(\d+)\./.exec(name)
  return found ? Number(found[1]) : undefined
}

/** 0 for embeddings, 1 for the first layer, and one more than the last for what stands on top. */
function depthOf(name: string, layers: number): number {
  if (/\.?embeddings\./.test(name)) return 0
  return (layerOf(name) ?? layers) + 1
}

/** A parameter's name, and the same with its module's class before the last part: 'mlp.1.LayerNorm.weight'. */
function withClasses(model: ClickModel): (name: string) => string[] {
  const classes = new Map([...model.namedModules()].map(([name, module]) => [name, module.constructor.name]))
  return name => {
    const dot = name.lastIndexOf('.')
    return [name, `${name.slice(0, dot)}.${classes.get(name.slice(0, dot))}${name.slice(dot)}`]
  }
}
