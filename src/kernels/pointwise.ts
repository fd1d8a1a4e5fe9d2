// Element by element with broadcasting: kernels made of the rows of src/pointwise.ts.
import { shown } from '../check.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import { defineKernel, type Gpu, type Kernel, type View } from '../gpu/index.ts'
import { type PointwiseName, pointwiseRow } from '../pointwise.ts'
import divide from '../wgsl/divide.ts'
import f16 from '../wgsl/f16.ts'
import wgsl from '../wgsl/pointwise.ts'
import { expectView, float32Bits, given } from './checks.ts'
import { broadcastShapes, broadcastStrides, type Merged, mergeDimensions, numel } from './strides.ts'

const WG = 256
/** E that an invocation takes: see `walking` in width.ts. */
const perOf = ({ forms }: Gpu) => (forms.kind === 'hardware' ? 1 : 4)
const MOST_DIMENSIONS = 8

/** An array that takes part: row-major, float32 unless `storage` says otherwise. */
export interface PointwiseArray {
  view: View
  shape: readonly number[]
  storage?: 'f32' | 'f16' | 'u32' | undefined
}
/** An array or a number. */
export type PointwiseOperand = PointwiseArray | number

/** What all launches of the family take. */
interface Launch {
  name: PointwiseName
  /** In the order of the row: a, b, c. Arrays are broadcast to the result's shape. */
  operands: readonly PointwiseOperand[]
  /** The row's numbers. */
  p?: number
  q?: number
}

const kernels = new Map<string, Kernel>()

function rowOf(name: PointwiseName): ReturnType<typeof pointwiseRow> {
  const row: ReturnType<typeof pointwiseRow> | undefined = pointwiseRow(name)
  if (!row) throw new ArgumentError(`pointwise: name is ${shown(name)}, expected one such as 'add'`)
  return row
}

/** out = f(operands). out is another buffer than theirs, of the operands' common shape; overwritten. */
export function pointwise(gpu: Gpu, options: Launch & { out: PointwiseArray }): void {
  const { name, operands, out, p, q } = given('pointwise', gpu, options)
  const { f, operands: count } = rowOf(name)
  if (operands.length !== count)
    throw new ShapeError(`${name} takes ${count} operands, got ${operands.length}`)
  run(gpu, name, f, named(operands), out, p, q)
}

/**
 * d = the gradient of operand `index` before broadcast dimensions are summed, of the result's shape: what the row's df says of y,
 * the forward's result, and dy. Overwritten.
 */
export function pointwiseBackward(
  gpu: Gpu,
  {
    name,
    operands,
    index,
    y,
    dy,
    d,
    p,
    q,
  }: Launch & { index: number; y: PointwiseArray; dy: PointwiseArray; d: PointwiseArray },
): void {
  const df = rowOf(name).df?.[index]
  if (df === undefined) throw new ShapeError(`${name} has no gradient of operand ${index}`)
  run(gpu, `${name} gradient`, df, { ...named(operands), y, dy }, d, p, q)
}

const named = (operands: readonly PointwiseOperand[]): Record<string, PointwiseOperand> =>
  Object.fromEntries(operands.map((operand, i) => ['abc'[i]!, operand]))

function run(
  gpu: Gpu,
  name: string,
  code: string,
  operands: Record<string, PointwiseOperand>,
  out: PointwiseArray,
  p = 0,
  q = 0,
): void {
  const n = numel(out.shape)
  if (n === 0) return
  const per = perOf(gpu)
  const { kernel, inputs, numbers, params, width } = planOf(name, code, operands, out, per)
  const views: View[] = []
  for (const key of inputs) {
    const { view, shape, storage } = operands[key] as PointwiseArray
    expectView(name, key, view, numel(shape), storage === 'f16' ? 'f16' : undefined)
    views.push(view)
  }
  expectView(name, 'out', out.view, n, out.storage === 'f16' ? 'f16' : undefined)
  views.push(out.view)
  // A number takes the place of the row's own p or q, which rows with such operands do not name.
  const [first = p, second = q] = numbers.map(key => operands[key] as number)
  const bits = { p: float32Bits(`${name}: a number`, first), q: float32Bits(`${name}: a number`, second) }
  gpu.launch(kernel, { ...params, n: n / width, ...bits }, views, Math.ceil(n / width / (WG * per)))
}

/** What is launched for operands of certain shapes. */
interface Plan {
  kernel: Kernel<string>
  /** The operands in memory, and those that are numbers, which the formula names. */
  inputs: readonly string[]
  numbers: readonly string[]
  params: Record<string, number>
  width: number
}

const plans = new Map<string, Plan>()
/** Batches differ in length, so there is no end to shapes. */
const MOST_PLANS = 1024

function planOf(
  name: string,
  code: string,
  operands: Record<string, PointwiseOperand>,
  out: PointwiseArray,
  per: number,
): Plan {
  let key = `${per} ${name}: ${code}:${out.shape}${out.storage}`
  for (const name in operands) {
    const operand = operands[name]!
    key += typeof operand === 'number' ? `,${name}` : `,${name}:${operand.shape}${operand.storage}`
  }
  let plan = plans.get(key)
  if (!plan) {
    plan = makePlan(name, code, operands, out, per)
    if (plans.size === MOST_PLANS) plans.clear()
    plans.set(key, plan)
  }
  return plan
}

/** @throws ShapeError for shapes that do not broadcast to the result's */
function makePlan(
  name: string,
  code: string,
  operands: Record<string, PointwiseOperand>,
  out: PointwiseArray,
  per: number,
): Plan {
  const used = Object.keys(operands).filter(key => new RegExp(`\\b${key}\\b`).test(code))
  const numbers = used.filter(key => typeof operands[key] === 'number')
  const inputs = used.filter(key => typeof operands[key] !== 'number')
  const arrays = inputs.map(key => operands[key] as PointwiseArray)
  const common = broadcastShapes(name, [...arrays.map(({ shape }) => shape), out.shape])
  if (common.join() !== out.shape.join())
    throw new ShapeError(
      `${name}: out has shape [${out.shape}], expected the operands' common shape [${common}]`,
    )
  const merged = mergeDimensions(
    out.shape,
    arrays.map(({ shape }) => broadcastStrides(shape, out.shape)),
  )
  if (merged.sizes.length > MOST_DIMENSIONS)
    throw new ShapeError(`${name}: shape [${out.shape}] has too many dimensions to broadcast over`)
  const { constants: form, params, width } = formOf(arrays, merged, out)
  const constants = { ...form, PER: per }
  const arguments_ = used.map(key => {
    const number = numbers.indexOf(key)
    return number >= 0 ? `E(number_${'pq'[number]}())` : `get${inputs.indexOf(key)}(i${inputs.indexOf(key)})`
  })
  const formula = code.replace(/\bparams\.([pq])\b/g, 'number_$1()')
  const functions = `fn f(${used.map(key => `${key}: E`).join(', ')}) -> E { return E(${formula}); }
fn value(i0: u32, i1: u32, i2: u32, i3: u32) -> E { return f(${arguments_.join(', ')}); }
`
  const key = `${JSON.stringify(constants)}${functions}`
  let kernel = kernels.get(key)
  if (!kernel) {
    kernel = defineKernel({
      name: `pointwise ${name}`,
      prelude: (constants.HALVES || constants.OUT_HALF ? f16 : '') + divide + functions,
      wgsl,
      entry: 'main',
      params: {
        n: 'u32',
        p: 'u32',
        q: 'u32',
        ...Object.fromEntries(Object.keys(params).map(key => [key, 'u32' as const])),
      },
      bindings: [...arrays.map(() => 'read' as const), 'write'],
      workgroup: WG,
      constants,
    })
    kernels.set(key, kernel)
  }
  return { kernel, inputs, numbers, params, width }
}

/** How the operands are read, and the numbers that say where. */
function formOf(arrays: readonly PointwiseArray[], { sizes, strides }: Merged, out: PointwiseArray) {
  const last = sizes[0]!
  const fours = (k: number) => strides[k]!.every((stride, d) => d === 0 || stride % 4 === 0)
  const even = arrays.every((_, k) => strides[k]![0] === 0 || (strides[k]![0] === 1 && fours(k)))
  const width = last % 4 === 0 && even ? 4 : 1
  const masks = { FULLS: 0, HALVES: 0, SPLATS: 0, WORDS: 0, WORD_SPLATS: 0 }
  const steps = arrays.map(({ storage = 'f32' }, k) => {
    const own = strides[k]!
    const splat = width === 4 && own[0] === 0
    if (storage === 'f16') masks.HALVES += 1 << k
    else if (storage === 'u32') masks[splat ? 'WORD_SPLATS' : 'WORDS'] += 1 << k
    else masks[splat ? 'SPLATS' : 'FULLS'] += 1 << k
    return own.map((stride, d) => (d === 0 || splat ? stride : stride / width))
  })
  const half = out.storage === 'f16'
  if (width === 1 && (half || masks.HALVES))
    throw new ShapeError(`f16 storage takes rows of a multiple of 4 values, got shape [${out.shape}]`)
  const flat = sizes.length === 1 && steps.every(own => own[0] === 1)
  const params: Record<string, number> = {}
  for (const [d, size] of sizes.entries()) {
    params[`d${d}`] = d === 0 ? size / width : size
    for (const [k, own] of steps.entries()) params[`s${k}_${d}`] = own[d]!
  }
  const constants = {
    WIDTH: width,
    INPUTS: arrays.length,
    RANK: sizes.length,
    FLAT: Number(flat),
    PLANE: Number(sizes.length === 2),
    ...masks,
    OUT_HALF: Number(half),
  }
  return { constants, params, width }
}
