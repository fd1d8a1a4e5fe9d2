// Which weights a side's vectors are from.
import { files } from '#files'
import { readParameter } from '../autograd/index.ts'
import { expectOneOf, shown } from '../check.ts'
import { encoderShape } from '../config/index.ts'
import { ArgumentError, ConfigError } from '../errors.ts'
import { isTwoSided, type Model, type SideName, type TwoSided } from '../models/index.ts'
import { SIDES } from '../models/two-sided.ts'
import { expectModel } from '../train/checks.ts'

/** A model that keeps its two texts apart. */
export type TwoSidedModel = Model & TwoSided

/** @throws ArgumentError for what is no model on a device; ConfigError for one that does not keep its texts apart */
export function expectTwoSided(where: string, model: unknown): asserts model is TwoSidedModel {
  expectModel(where, model)
  expectTwoSidedKind(where, model)
}

/** @throws ConfigError for a model that does not keep its texts apart */
export function expectTwoSidedKind(where: string, model: Model): asserts model is TwoSidedModel {
  if (isTwoSided(model)) return
  throw new ConfigError(
    `${where}: the model is a ${model.constructor.name}, whose texts meet at once, expected one of two sides: a TwinModel or a LateFusionModel`,
  )
}

/** @throws ConfigError for no side */
export function expectSide(where: string, side: unknown): asserts side is SideName {
  expectOneOf(`${where}: side`, side, SIDES)
}

/**
 * SHA-256 of all that a side's vectors follow from: names, shapes and bits of its tower's parameters, in order, which columns the side
 * reads, and the encoder's heads. Other weights have another one, and so have the same weights over other columns.
 *
 * @returns 64 hexadecimal digits
 *
 * @example
 * ```ts
 * import { loadModel, type TwinModel } from 'kernelgrad'
 * import { towerFingerprint } from 'kernelgrad/serve'
 *
 * const model = await loadModel<TwinModel>(gpu, 'runs/twin')
 * console.log(await towerFingerprint(model, 'ad'))
 * ```
 */
export async function towerFingerprint(model: TwoSidedModel, side: SideName): Promise<string> {
  expectTwoSided('towerFingerprint', model)
  expectSide('towerFingerprint', side)
  const hash = files.sha256()
  const text = (value: unknown) => hash.update(new TextEncoder().encode(`${JSON.stringify(value)}\n`))
  const heads = Object.values(model.encoders()).map(({ config }) => encoderShape(config).n_heads)
  text({ side: model.sides[side], heads, size: model.vectorSize })
  for (const [name, parameter] of model.tower(side)) {
    text({ name, shape: parameter.shape })
    hash.update(new Uint8Array((await readParameter(parameter)).buffer))
  }
  return hash.digest('hex')
}

/** @throws ArgumentError unless `value` is a plain object */
export function expectObject(where: string, value: unknown, expected: string): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ArgumentError(`${where} is ${shown(value)}, expected ${expected}`)
}
