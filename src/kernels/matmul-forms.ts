// The forms of the matrix product as data: what a form needs, from which size it pays, and which is tried first where.
import { expectDevice, expectOneOf, shown } from '../check.ts'
import { ArgumentError } from '../errors.ts'
import type { AdapterKind, Forms, Gpu } from '../gpu/index.ts'
import { expectSizes } from './checks.ts'
import { type Card, cardOf, cheapest, type GroupOfTiles, PLAIN_BATCHED } from './matmul-cards.ts'
import { matrixUnits } from './matmul-units.ts'

/** Which operand lies transposed in memory: NN a[M,K] b[K,N]; NT a[M,K] b[N,K]; TN a[K,M] b[K,N]. */
export type MatmulLayout = 'NN' | 'NT' | 'TN'

/** c[M, N] = a b over K values each, and how a and b lie. */
export interface MatmulShape {
  /** Rows of c. */
  M: number
  /** Columns of c. */
  N: number
  /** Values summed for each. */
  K: number
  /** How a and b lie. */
  layout: MatmulLayout
}

/**
 * One way to compute the product, tile by tile. `how` says who owns a tile:
 * - invocation: one invocation, in registers (matmul.wgsl); needs nothing, and '1x4' is the plain form
 * - broadcast, quad: one subgroup, in registers, its lanes handing rows of a round (matmul_subgroup.wgsl)
 * - workgroup: a workgroup, its operands in workgroup memory (matmul_workgroup.wgsl)
 * - matrix: a workgroup, by the GPU's matrix units (matmul_matrix.wgsl), where it has some and `probeMatrixUnits` found them right
 */
export interface MatmulForm {
  how: 'invocation' | 'broadcast' | 'quad' | 'workgroup' | 'matrix'
  /** Rows and columns of a tile. */
  rows: number
  columns: number
  /** Values of k per iteration; the adapter kind's unless given. */
  step?: number
  /** Rows and columns of an invocation, for `workgroup`. */
  lane?: readonly [rows: number, columns: number]
  /** Invocations that share those and a step's values of k, for `workgroup`; 1 unless given. */
  slices?: number
  /** Neighbouring invocations along M, for `invocation`. */
  lanesM?: number
  /** Multiply-adds per time on a busy device, beside the other forms that have one: it decides among them. */
  rate?: number
  /** Needs the `subgroups` feature and subgroups of exactly this many lanes. */
  subgroup?: number
  /** Least M N K from which it is chosen: a large tile takes lavapipe half a second to compile, as long as thousands of small products. */
  work: number
}

/** The form that uses matrix units. */
export const MATRIX_FORM = 'matrix 64x64'

/** The forms by name; every one computes the same product. They cannot be changed: kernels made for one are kept under it. */
export const matmulForms: Record<string, Readonly<MatmulForm>> = {
  'broadcast 32x64': { how: 'broadcast', rows: 32, columns: 64, step: 2, rate: 77, subgroup: 8, work: 5e5 },
  'broadcast 16x64': { how: 'broadcast', rows: 16, columns: 64, step: 2, rate: 60, subgroup: 8, work: 5e5 },
  'broadcast 32x32': { how: 'broadcast', rows: 32, columns: 32, step: 2, rate: 66, subgroup: 8, work: 5e5 },
  // Without a rate: never built in beside those that have one, and there for tuners. Which tile's sums fit the registers differs by processor.
  'broadcast 64x64': { how: 'broadcast', rows: 64, columns: 64, step: 2, subgroup: 8, work: 2e7 },
  'broadcast 16x32': { how: 'broadcast', rows: 16, columns: 32, step: 2, subgroup: 8, work: 5e5 },
  'broadcast 8x64': { how: 'broadcast', rows: 8, columns: 64, step: 2, subgroup: 8, work: 5e5 },
  'broadcast 8x32': { how: 'broadcast', rows: 8, columns: 32, step: 2, subgroup: 8, work: 5e5 },
  'broadcast4 32x32': { how: 'broadcast', rows: 32, columns: 32, step: 2, subgroup: 4, work: 5e5 },
  'broadcast4 16x32': { how: 'broadcast', rows: 16, columns: 32, step: 2, subgroup: 4, work: 5e5 },
  'broadcast4 16x16': { how: 'broadcast', rows: 16, columns: 16, step: 2, subgroup: 4, work: 5e5 },
  'broadcast16 32x64': { how: 'broadcast', rows: 32, columns: 64, step: 2, subgroup: 16, work: 5e5 },
  'broadcast16 16x64': { how: 'broadcast', rows: 16, columns: 64, step: 2, subgroup: 16, work: 5e5 },
  'broadcast16 32x128': { how: 'broadcast', rows: 32, columns: 128, step: 2, subgroup: 16, work: 5e5 },
  'quad 32x32': { how: 'quad', rows: 32, columns: 32, step: 4, rate: 11, subgroup: 4, work: 2e7 },
  'quad 32x64': { how: 'quad', rows: 32, columns: 64, step: 8, rate: 14, subgroup: 4, work: 2e8 },
  'quad 16x32': { how: 'quad', rows: 16, columns: 32, step: 4, rate: 10, subgroup: 4, work: 1e5 },
  'workgroup 128x128': { how: 'workgroup', rows: 128, columns: 128, lane: [8, 8], step: 16, work: 1e7 },
  'workgroup 64x64': { how: 'workgroup', rows: 64, columns: 64, lane: [4, 8], step: 16, work: 1e6 },
  'workgroup 32x64': { how: 'workgroup', rows: 32, columns: 64, lane: [4, 4], step: 16, work: 2e5 },
  'workgroup 32x32': { how: 'workgroup', rows: 32, columns: 32, lane: [4, 4], step: 16, work: 1e5 },
  'workgroup 32x32 sliced': {
    how: 'workgroup',
    rows: 32,
    columns: 32,
    lane: [4, 4],
    step: 64,
    slices: 4,
    work: 1e5,
  },
  [MATRIX_FORM]: { how: 'matrix', rows: 64, columns: 64, step: 16, work: 1e6 },
  '16x16': { how: 'invocation', rows: 16, columns: 16, lanesM: 2, work: 2e7 },
  '8x8': { how: 'invocation', rows: 8, columns: 8, lanesM: 2, work: 1e6 },
  '8x4': { how: 'invocation', rows: 8, columns: 4, lanesM: 1, work: 1e6 },
  '4x4': { how: 'invocation', rows: 4, columns: 4, lanesM: 2, work: 0 },
  '1x4': { how: 'invocation', rows: 1, columns: 4, lanesM: 1, work: 0 },
}
for (const form of Object.values(matmulForms)) Object.freeze(Object.freeze(form).lane)

/** @throws ArgumentError for what is no shape; ConfigError that names the size, or the layout */
export function checkShape(op: string, shape: MatmulShape): void {
  if (typeof shape !== 'object' || shape === null)
    throw new ArgumentError(`${op}: shape is ${shown(shape)}, expected { M, N, K, layout }`)
  const { M, N, K, layout } = shape
  expectOneOf(`${op}: layout`, layout, ['NN', 'NT', 'TN'])
  expectSizes(op, { M, N, K })
}

interface Device {
  /** Invocations that keep it busy, and tiles of a subgroup or workgroup. */
  lanes: number
  tiles: number
  /** Invocations per workgroup and values of k per iteration of an `invocation` form. */
  workgroup: number
  step: 1 | 2 | 4
  /**
   * Bytes after which addresses fall into the same set of the first cache, where that is known to bind: rows of b that lie
   * so far apart, or a multiple of it, push each other out.
   */
  cacheSets?: number
  /** The form of products with so few rows of a that other tiles would be mostly empty, as of one query's tokens; same bits. */
  few?: { rows: number; form: string }
  /** Forms from the most to the least wanted; on hardware the cost model decides (matmul-cards.ts). */
  prefers: string[]
}

export const DEVICES: Record<AdapterKind, Device> = {
  hardware: {
    lanes: 8192,
    tiles: 64,
    workgroup: 64,
    step: 4,
    prefers: [],
  },
  'system software': {
    lanes: 64,
    tiles: 4,
    workgroup: 8,
    step: 1,
    cacheSets: 4096,
    few: { rows: 8, form: 'broadcast 8x64' },
    prefers: [
      'broadcast 32x64',
      'broadcast 16x64',
      'broadcast 32x32',
      'broadcast 16x32',
      'broadcast 8x64',
      'broadcast 8x32',
      'broadcast 64x64',
      'broadcast4 32x32',
      'broadcast4 16x32',
      'broadcast4 16x16',
      'broadcast16 32x64',
      'broadcast16 32x128',
      'broadcast16 16x64',
      '16x16',
      '8x8',
      '4x4',
      '1x4',
    ],
  },
  'embedded software': {
    lanes: 64,
    tiles: 8,
    workgroup: 8,
    step: 4,
    prefers: ['quad 32x64', 'quad 32x32', 'quad 16x32', '16x16', '8x8', '4x4', '1x4'],
  },
}

/** Least K of a part when K is cut for more tiles. */
const PART = 512
/** Most products that are summed one after the other. */
const CHAIN = 1536

/** Whether tiles of halves stay halves in workgroup memory. */
export const keepsHalves = ({ features, forms }: Gpu): boolean =>
  cardOf(forms.vendor).halves === true && features.has('shader-f16')

/** Why a form cannot run on this device, or undefined when it can. */
export function unusable(gpu: Gpu, { subgroup, how }: MatmulForm): string | undefined {
  if (how === 'matrix' && !Object.keys(matrixUnits(gpu)).length)
    return 'needs matrix units, and none was found by probeMatrixUnits()'
  if (subgroup === undefined) return undefined
  if (!gpu.subgroups) return "needs the feature 'subgroups', which this device lacks"
  const { least, most } = gpu.subgroups
  if (least === subgroup && most === subgroup) return undefined
  return `needs subgroups of ${subgroup} lanes, this device's have ${least === most ? least : `${least} to ${most}`}`
}

/** Tiles of a product: invocations for an `invocation` form, else subgroups or workgroups. */
export function tilesOf({ rows, columns, lanesM = 1 }: MatmulForm, M: number, N: number): number {
  return Math.ceil(M / (rows * lanesM)) * lanesM * Math.ceil(N / columns)
}

/** What a workgroup of a form computes on hardware. */
function groupOf({ how, rows, columns, lane, lanesM = 1, step, slices = 1 }: MatmulForm): GroupOfTiles {
  const { workgroup, step: own } = DEVICES.hardware
  const per = { rows: rows * lanesM, columns, step: step ?? own }
  if (how === 'invocation') return { ...per, tiles: workgroup / lanesM, lanes: workgroup }
  const lanes = how === 'matrix' ? 128 : 32
  return { ...per, tiles: 1, lanes: lane ? ((rows / lane[0]) * columns * slices) / lane[1] : lanes }
}

const wantedTiles = (form: MatmulForm, device: Device): number =>
  form.how === 'invocation' ? device.lanes : device.tiles

/** Parts of K of which none is a chain of more than CHAIN products. */
export const leastSplits = (K: number): number => Math.ceil(K / CHAIN)

const mostSplits = (K: number) => Math.max(1, Math.min(Math.floor(K / PART), 64))

/**
 * Parts into which K is cut so that the device is busy, and no sum is a chain of more than CHAIN products: gradient norms of
 * the full model were off by 9.5e-5 with chains of 3,072, and by 1.6e-5 with shorter ones.
 */
export function splitsOf({ kind, vendor }: Forms, name: string, shape: MatmulShape): number {
  const form = matmulForms[name]!
  const { M, N, K } = shape
  const least = leastSplits(K)
  if (kind === 'hardware') {
    const card = cardOf(vendor)
    return cheapest(card, groupOf(form), card.rates[name] ?? 100, shape, least).splits
  }
  const busy = Math.ceil(wantedTiles(form, DEVICES[kind]) / tilesOf(form, M, N))
  return Math.max(1, Math.min(busy, mostSplits(K)), least)
}

/** Least columns of a product with few rows, so that its tiles are as many as of other forms, and K is cut alike. */
const FEW_COLUMNS = 256

/** Least rows of a product that are worth a pass over b. */
const TRANSPOSE_ROWS = 128

/** Whether b[N,K] is transposed first: its rows share cache sets, and there are enough rows of a to make up for it. */
export function transposesB(
  kind: AdapterKind,
  { how }: MatmulForm,
  { layout, M, N, K }: MatmulShape,
): boolean {
  const { cacheSets } = DEVICES[kind]
  if (cacheSets === undefined || layout !== 'NT' || how !== 'broadcast' || N % 4) return false
  return M >= TRANSPOSE_ROWS && (K * 4) % cacheSets === 0
}

/**
 * Names of the forms that this device can run and that suit the shape, the built-in choice first. A tuner may time
 * them and pass its own choice as `form`.
 */
export function candidates(gpu: Gpu, shape: MatmulShape): string[] {
  expectDevice('candidates: gpu', gpu)
  checkShape('candidates', shape)
  const { M, N, K } = shape
  const device = DEVICES[gpu.forms.kind]
  const card = gpu.forms.kind === 'hardware' ? cardOf(gpu.forms.vendor) : undefined
  const usable = (card ? Object.keys(card.rates) : device.prefers).filter(name => {
    const form = matmulForms[name]!
    return M * N * K >= form.work && unusable(gpu, form) === undefined
  })
  if (card) return byTime(card, usable, shape)
  if (M === 1) return ['1x4', ...usable.filter(name => name !== '1x4')]
  const busy = (name: string) => keepsBusy(matmulForms[name]!, device, shape)
  const { few } = device
  const fits = few && M <= few.rows && N >= FEW_COLUMNS && usable.includes(few.form)
  const first = fits ? few.form : (fastest(usable, shape) ?? usable.find(busy) ?? '4x4')
  return [first, ...usable.filter(name => name !== first)]
}

/** The forms by what each would take with K cut as suits it best. */
function byTime(card: Card, names: string[], shape: MatmulShape): string[] {
  const least = Math.ceil(shape.K / CHAIN)
  const timed = names.map(name => {
    const group = groupOf(matmulForms[name]!)
    return { name, time: cheapest(card, group, card.rates[name]!, shape, least).time }
  })
  return timed.sort((a, b) => a.time - b.time).map(({ name }) => name)
}

/** The form by which many products at once are done first on a GPU, and its parts of K; undefined where a tile an invocation is better. */
export function batchedForm(
  { vendor }: Forms,
  shape: Omit<MatmulShape, 'layout'> & { count: number },
): { name: string; splits: number } | undefined {
  const card = cardOf(vendor)
  const { M, N, K, count } = shape
  const names = Object.keys(card.rates).filter(name => {
    const { how, work } = matmulForms[name]!
    return how === 'workgroup' && M * N * K * count >= work
  })
  const least = Math.ceil(K / CHAIN)
  let best: { name: string; splits: number } | undefined
  // Its sums are not cut into parts.
  let time =
    least > 1
      ? Number.POSITIVE_INFINITY
      : cheapest(card, PLAIN_BATCHED.group, PLAIN_BATCHED.rate, { ...shape, K }, 1).time
  for (const name of names) {
    const found = cheapest(card, groupOf(matmulForms[name]!), card.rates[name]!, shape, least)
    if (found.time < time) best = { name, splits: found.splits }
    time = Math.min(time, found.time)
  }
  return best
}

/** Sums of parts cost time of their own, so a smaller tile goes before a tile that only parts of K make enough of. */
const keepsBusy = (form: MatmulForm, device: Device, { M, N }: MatmulShape) =>
  tilesOf(form, M, N) >= wantedTiles(form, device)

/** Of the forms with a rate, the one that is done first, on two workers at least and with its tiles' empty parts counted. */
function fastest(names: string[], { M, N }: MatmulShape): string | undefined {
  let best: { name: string; time: number } | undefined
  for (const name of names) {
    const form = matmulForms[name]!
    if (form.rate === undefined) continue
    const time = (Math.max(tilesOf(form, M, N), 2) * form.rows * form.columns) / form.rate
    if (!best || time < best.time) best = { name, time }
  }
  return best?.name
}

/** Shapes for which one measured choice serves: each size by power of two, and by whether it divides by 4. */
export function shapeClass({ layout, M, N, K }: MatmulShape): string {
  const sizes = [M, N, K].map(size => 2 ** Math.ceil(Math.log2(size)))
  const by4 = [M, N, K].map(size => (size % 4 === 0 ? 4 : 1))
  return `matmul ${layout} ${sizes.join('x')} by ${by4.join(',')}`
}
