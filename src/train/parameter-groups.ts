// How the parameters of a model are trained: which stay as they are, at which rate the others learn, and which decay.
import type { Parameter } from '../autograd/index.ts'
import { expectNumber, NON_NEGATIVE, type Range, shown } from '../check.ts'
import type { ResolvedTrainerConfig } from '../config/index.ts'
import { ArgumentError, ConfigError } from '../errors.ts'
import type { Model } from '../models/index.ts'
import { chooseNames, type Module } from '../nn/index.ts'
import { expectModel } from './checks.ts'

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
 * Splits parameters as the notebook does: those of the model's encoders learn at `encoder_learning_rate`, the others at
 * `learning_rate`. With `layer_decay` d, layer l of an encoder's L (from 0) learns at d^(L - l) of that rate and its embeddings at
 * d^(L + 1). With `freeze`, exactly the parameters that match are frozen; frozen
 * ones are in no group.
 * Source of the layers' rates: BEiT's `LayerDecayValueAssigner` (Bao et al. 2022), after ELECTRA (Clark et al. 2020).
 * @throws ConfigError for a pattern that matches nothing, for a layer of which only some of q, k and v are frozen, and where
 * nothing is left to train.
 */
export const parameterGroups = (model: Model, settings: GroupSettings): TrainedGroup[] =>
  namedGroups(model, settings).map(([, group]) => group)

/**
 * The same, each with what its rate is called: 'encoder', with `layer_decay` 'encoder_below_2' for what is two below the encoder's top, or 'other'.
 * Groups that differ in weight decay alone have one name.
 */
export function namedGroups(model: Model, settings: GroupSettings): [name: string, TrainedGroup][] {
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
  const depths = encoderDepths(model)
  const groups = new Map<string, [name: string, TrainedGroup]>()
  for (const part of ['encoder', 'other']) {
    for (const [name, parameter] of parameters) {
      const fromTop = depths.get(parameter)
      if (!parameter.requiresGrad || (fromTop !== undefined) !== (part === 'encoder')) continue
      const lr = fromTop === undefined ? learning_rate : encoder_learning_rate * layer_decay ** fromTop
      const key = `${part} ${lr} ${kept.has(name)}`
      const named = groups.get(key) ?? [
        fromTop && layer_decay !== 1 ? `encoder_below_${fromTop}` : part,
        { params: [], lr, ...(kept.has(name) ? { weightDecay: 0 } : {}) },
      ]
      named[1].params.push(parameter)
      groups.set(key, named)
    }
  }
  if (!groups.size) throw new ConfigError('every parameter of the model is frozen: nothing is left to train')
  return [...groups.values()]
}

const DECAY: Range = { says: 'a number in (0, 1]', takes: x => x > 0 && x <= 1 }

/** Freezes exactly what matches; where a pattern is wrong, all stays as it is. */
function freezeOnly(model: Model, patterns: readonly string[]): void {
  const before = [...model.parameters()].map(parameter => ({ parameter, trained: parameter.requiresGrad }))
  try {
    model.unfreeze('*')
    model.freeze(...patterns)
  } catch (error) {
    for (const { parameter, trained } of before) parameter.requiresGrad = trained
    throw error
  }
}

/** How far below its encoder's top each parameter of an encoder is: 0 for what stands on the last layer, 1 for that layer, and so on. */
function encoderDepths(model: Model): Map<Parameter, number> {
  const depths = new Map<Parameter, number>()
  for (const encoder of Object.values(model.encoders())) {
    const { layers, embeddings } = encoder
    const note = (module: Module, depth: number) => {
      for (const parameter of module.parameters()) depths.set(parameter, depth)
    }
    note(encoder, 0)
    for (const [l, layer] of layers.entries()) note(layer, layers.length - l)
    note(embeddings, layers.length + 1)
  }
  return depths
}

/** A parameter's name, and the same with its module's class before the last part: 'mlp.1.LayerNorm.weight'. */
function withClasses(model: Model): (name: string) => string[] {
  const classes = new Map([...model.namedModules()].map(([name, module]) => [name, module.constructor.name]))
  return name => {
    const dot = name.lastIndexOf('.')
    return [name, `${name.slice(0, dot)}.${classes.get(name.slice(0, dot))}${name.slice(dot)}`]
  }
}
