// What is asked of parameter groups before an optimizer takes memory.
import { expectDevice } from '../autograd/checks.ts'
import { DenseParameter, type Parameter, TableParameter } from '../autograd/index.ts'
import { shown } from '../check.ts'
import { ArgumentError, ConfigError } from '../errors.ts'
import type { Gpu } from '../gpu/index.ts'

/**
 * The groups, their parameters read once.
 * @throws ConfigError for a group without parameters, a parameter in two groups, and one without memory, as before `model.to(gpu)`;
 *   ArgumentError for what are no groups or parameters, or are on another device
 */
export function checkGroups<G extends { params: Iterable<Parameter> }>(
  rule: string,
  gpu: Gpu,
  groups: readonly G[],
): (G & { params: Parameter[] })[] {
  if (!Array.isArray(groups))
    throw new ArgumentError(
      `${rule}: groups is ${shown(groups)}, expected an array of groups: [{ params: model.parameters(), lr: 1e-3 }]`,
    )
  if (!groups.length) throw new ConfigError(`${rule}: groups is empty, expected at least one`)
  const full = groups.map((group, i) => {
    const where = `${rule}: groups[${i}]`
    if (typeof group !== 'object' || group === null)
      throw new ArgumentError(`${where} is ${shown(group)}, expected { params: model.parameters() }`)
    return { ...group, params: parametersOf(gpu, where, group.params) }
  })
  const seen = new Map<Parameter, number>()
  for (const [i, { params }] of full.entries()) {
    for (const parameter of params) {
      const other = seen.get(parameter)
      if (other !== undefined)
        throw new ConfigError(
          `${rule}: a parameter of shape [${parameter.shape}] stands in two parameter groups, or twice in one: groups[${other}] and groups[${i}]`,
        )
      seen.set(parameter, i)
    }
  }
  return full
}

function parametersOf(gpu: Gpu, where: string, given: unknown): Parameter[] {
  if (typeof given !== 'object' || given === null || !(Symbol.iterator in given))
    throw new ArgumentError(`${where}: params is ${shown(given)}, expected parameters, as model.parameters()`)
  const params = [...(given as Iterable<Parameter>)]
  if (!params.length)
    throw new ConfigError(
      `${where}: params is empty, expected at least one parameter; a generator gives them only once`,
    )
  for (const [i, parameter] of params.entries()) {
    const name = `params[${i}]`
    if (!(parameter instanceof DenseParameter || parameter instanceof TableParameter)) {
      const hint = Array.isArray(parameter) ? '; parameters() gives them without their names' : ''
      throw new ArgumentError(`${where}: ${name} is ${shown(parameter)}, expected a parameter${hint}`)
    }
    if (parameter instanceof DenseParameter ? !parameter.arena : !parameter.placed)
      throw new ConfigError(
        `${where}: ${name}, of shape [${parameter.shape}], has no memory yet; call model.to(gpu) before the optimizer is made`,
      )
    expectDevice(where, name, parameter.gpu, 'the optimizer', gpu)
  }
  return params
}
