// The kernel of a form for a device, the way a, b and c lie in memory, and an epilogue; each is made once.
import { ConfigError } from '../errors.ts'
import { type AdapterKind, defineKernel, type Kernel, withConstants } from '../gpu/index.ts'
import f16 from '../wgsl/f16.ts'
import matmulWgsl from '../wgsl/matmul.ts'
import epilogueWgsl from '../wgsl/matmul_epilogue.ts'
import matrixWgsl from '../wgsl/matmul_matrix.ts'
import operandsWgsl from '../wgsl/matmul_operands.ts'
import subgroupWgsl from '../wgsl/matmul_subgroup.ts'
import sumWgsl from '../wgsl/matmul_sum.ts'
import workgroupWgsl from '../wgsl/matmul_workgroup.ts'
import normalCdf from '../wgsl/normal_cdf.ts'
import philox from '../wgsl/philox.ts'
import { DROPOUT_PARAMS, philoxShifts } from './dropout.ts'
import { DEVICES, type MatmulForm, type MatmulShape } from './matmul-forms.ts'
import type { MatrixUnit } from './matmul-units.ts'
import type { Storage } from './width.ts'

const params = {
  M: 'u32',
  N: 'u32',
  K: 'u32',
  splits: 'u32',
  accumulate: 'u32',
  ...DROPOUT_PARAMS,
} as const

export type MatmulKernel = Kernel<keyof typeof params>

/** Parts of the epilogue that are compiled in: constants of the kernels, each 0 or 1, always all and in this order. */
export interface Fused {
  BIAS: number
  RESIDUAL: number
  /** c can be added to; the parameter says whether it is. */
  ACCUMULATE: number
  PRE: number
  GELU: number
  RELU: number
  DROPOUT: number
  /** The sums of a over K are written too; never with `PRE`. */
  SUMS: number
}

/** Which of a, b and c (with residual and pre) are halves; float32 unless named. */
export interface Stored {
  a?: Storage | undefined
  b?: Storage | undefined
  c?: Storage | undefined
}

export const NOTHING: Fused = {
  BIAS: 0,
  RESIDUAL: 0,
  ACCUMULATE: 0,
  PRE: 0,
  GELU: 0,
  RELU: 0,
  DROPOUT: 0,
  SUMS: 0,
}

// a or parts, b, c, bias, residual; then pre or sums where they are written.
const define = (text: string, entry = 'main', operands = operandsWgsl) =>
  defineKernel({
    name: 'matmul',
    wgsl: normalCdf + philox + operands + epilogueWgsl + text,
    entry,
    params,
    bindings: ['read', 'read', 'write', 'read', 'read'],
  })

const FAMILIES = {
  invocation: define(matmulWgsl),
  broadcast: define(subgroupWgsl),
  quad: define(subgroupWgsl),
  workgroup: define(workgroupWgsl),
  matrix: define(matrixWgsl),
  sum: define(sumWgsl, 'sum', ''),
}

function make(
  family: keyof typeof FAMILIES,
  workgroup: number,
  constants: Record<string, number>,
  fused: Fused,
): MatmulKernel {
  const { SUMS, ...parts } = fused
  const all: Record<string, number> = { ...constants, ...parts, ...(SUMS && { SUMS }) }
  const kernel = { ...withConstants(FAMILIES[family], all), workgroup }
  if (all.A_16 || all.B_16 || all.C_16) kernel.prelude = f16
  if (fused.PRE || SUMS) kernel.bindings = [...kernel.bindings, 'write']
  return kernel
}

const kernels = new Map<unknown, Map<number, MatmulKernel>>()

/** The kernel of a form (or none) by a number that tells it from the form's others: every launch asks. */
function cached(form: unknown, key: number, make: () => MatmulKernel): MatmulKernel {
  const known = kernels.get(form) ?? new Map<number, MatmulKernel>()
  const kernel = known.get(key) ?? make()
  if (!known.size) kernels.set(form, known)
  known.set(key, kernel)
  return kernel
}

/** A bit for each part of an epilogue, and for halves. */
function bitsOf(fused: Fused, { a, b, c }: Stored): number {
  let bits = 0
  for (const part in fused) bits = bits * 2 + fused[part as keyof Fused]
  for (const storage of [a, b, c]) bits = bits * 2 + Number(storage === 'f16')
  return bits
}

const storedAs = (N: number, storage: Storage = 'f32') => ({
  C_4: Number(N % 4 === 0),
  C_1: Number(N % 4 !== 0),
  C_16: Number(storage === 'f16'),
})

/** The kernel that adds up parts of K. */
export function sumKernel(N: number, fused: Fused, stored: Stored): MatmulKernel {
  return cached(undefined, bitsOf(fused, stored) * 4 + (N % 4), () =>
    make('sum', 64, storedAs(N, stored.c), fused),
  )
}

/** A tile kernel of the `workgroup` forms for many products at once, with batches of so many dimensions. */
export function batchedKernel(form: MatmulForm, shape: MatmulShape, rank: number): Kernel {
  const one = tileKernel(form, 'hardware', shape, NOTHING, {}, false)
  return cached(one, rank, () => {
    const batches = [
      'batches',
      ...Array.from({ length: rank }, (_, d) => [`d${d}`, `a_step${d}`, `b_step${d}`]).flat(),
    ]
    const more = Object.fromEntries(batches.map(name => [name, 'u32' as const]))
    return { ...withConstants(one, { RANK: rank }), name: 'bmm', params: { ...params, ...more } }
  })
}

/** The kernel that computes tiles of 64 x 64 by matrix units, in workgroups of so many invocations. */
export function matrixKernel(
  unit: MatrixUnit,
  workgroup: number,
  kind: AdapterKind,
  { M, N, K, layout }: MatmulShape,
  fused: Fused,
  stored: Stored,
): MatmulKernel {
  const [tn, nt] = [layout === 'TN', layout === 'NT']
  const [A_V, B_V] = [Number((tn ? M : K) % 4 === 0), Number((nt ? K : N) % 4 === 0)]
  const key = ((bitsOf(fused, stored) * 3 + LAYOUTS.indexOf(layout)) * 4 + (N % 4)) * 4 + A_V * 2 + B_V
  return cached(unit, key, () => {
    const { BM, BN, BK } = unit
    const [HALVES, NAMED] = [Number(unit.halves), Number(unit.named)]
    const operands = { A_16: HALVES, B_16: HALVES, A_T: Number(tn), B_T: Number(nt), A_V, B_V }
    const c = { ...storedAs(N, stored.c), SHIFTS: philoxShifts(kind) }
    return make(
      'matrix',
      workgroup,
      { ...operands, BM, BN, BK, HALVES, NAMED, LANES: unit.lanes, ...c },
      fused,
    )
  })
}

const LAYOUTS = ['NN', 'NT', 'TN']
const KINDS = Object.keys(DEVICES)

/**
 * The kernel that computes tiles. `halfTiles` says whether operands that are halves stay halves in workgroup memory, which needs
 * the feature shader-f16: the products and sums are the same, float32.
 */
export function tileKernel(
  form: MatmulForm,
  kind: AdapterKind,
  shape: MatmulShape,
  fused: Fused,
  stored: Stored,
  halfTiles: boolean,
): MatmulKernel {
  const { M, N, K, layout } = shape
  const where = LAYOUTS.indexOf(layout) * 3 + KINDS.indexOf(kind)
  // Every step below divides 8, every vector 4.
  const sizes = (M % 4) * 32 + (N % 4) * 8 + (K % 8)
  const key = ((bitsOf(fused, stored) * 9 + where) * 128 + sizes) * 2 + Number(halfTiles)
  return cached(form, key, () => tileKernelOf(form, kind, shape, fused, stored, halfTiles))
}

function tileKernelOf(
  form: MatmulForm,
  kind: AdapterKind,
  { M, N, K, layout }: MatmulShape,
  fused: Fused,
  stored: Stored,
  halfTiles: boolean,
): MatmulKernel {
  const [tn, nt] = [layout === 'TN', layout === 'NT']
  const device = DEVICES[kind]
  const wanted = form.step ?? device.step
  // Vectors along K need whole steps. TN has none: its K varies from batch to batch, and one pipeline serves all.
  const step = wanted === 8 && !tn && K % 8 === 4 ? 4 : wanted
  const whole = K % step === 0
  const { rows, columns } = form
  const n4 = N % 4 === 0
  const operands = { A_16: Number(stored.a === 'f16'), B_16: Number(stored.b === 'f16') }
  const c = { ...operands, ...storedAs(N, stored.c), SHIFTS: philoxShifts(kind) }
  const b = { B_N4: Number(!nt && n4), B_N1: Number(!nt && !n4) }
  switch (form.how) {
    case 'invocation': {
      const k4 = step === 4 && whole
      // Small products come in many sizes: where a vector's load costs as much as its values', one pipeline serves them all.
      const halves = [stored.a, stored.b, stored.c].includes('f16')
      const vectors = kind !== 'system software' || rows > 4 || halves
      const m4 = vectors && M % 4 === 0 && rows % 4 === 0
      const constants = {
        R: rows,
        C: columns / 4,
        LANES_M: form.lanesM ?? 1,
        A_K4: Number(!tn && k4),
        A_K1: Number(!tn && !k4),
        A_M4: Number(tn && m4),
        A_M1: Number(tn && !m4),
        ...(vectors ? b : { B_N4: 0, B_N1: Number(!nt) }),
        B_K4: Number(nt && k4),
        B_K1: Number(nt && !k4),
        STEP: step,
        PASSES: whole ? 1 : 2,
        ...(vectors ? c : { ...c, C_4: 0, C_1: 1 }),
      }
      return make('invocation', device.workgroup, constants, fused)
    }
    case 'broadcast':
    case 'quad': {
      const lanes = form.subgroup!
      const kv = step > 1 && whole
      const m4 = M % 4 === 0 && rows % (4 * lanes) === 0
      const constants = {
        SG: lanes,
        R: rows,
        C: columns / (4 * lanes),
        STEP: step,
        KV: Math.min(step, 4),
        BROADCAST: Number(form.how === 'broadcast'),
        QUAD: Number(form.how === 'quad'),
        A_KV: Number(!tn && kv),
        A_K1: Number(!tn && !kv),
        A_M4: Number(tn && m4),
        A_M1: Number(tn && !m4),
        ...b,
        B_KV: Number(nt && kv),
        B_K1: Number(nt && !kv),
        // A weight's gradient sums over tokens, whose number varies: one pipeline for all, at no cost on lavapipe.
        TAIL: Number(!whole || (tn && form.how === 'broadcast')),
        ...c,
      }
      return make(form.how, lanes, constants, fused)
    }
    case 'workgroup': {
      const [RM, RN] = form.lane!
      const { slices = 1 } = form
      const constants = {
        TM: rows,
        TN: columns,
        RM,
        RN,
        KT: step,
        SLICES: slices,
        A_T: Number(tn),
        B_T: Number(nt),
        A_V: Number((tn ? M : K) % 4 === 0),
        B_V: Number((nt ? K : N) % 4 === 0),
        HALVES: Number(halfTiles && slices === 1 && stored.a === 'f16' && stored.b === 'f16'),
        ...c,
      }
      return make('workgroup', ((rows / RM) * columns * slices) / RN, constants, fused)
    }
    case 'matrix':
      throw new ConfigError("matmul: the form 'matrix' has kernels of its own (matrixKernel)")
  }
}
