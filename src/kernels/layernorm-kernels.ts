// LayerNorm's kernels, each made once: what stands before and after the normalisation is compiled in.
import { type Access, defineKernel } from '../gpu/index.ts'
import wgsl from '../wgsl/layernorm.ts'
import values from '../wgsl/layernorm_values.ts'
import workgroupWgsl from '../wgsl/layernorm_workgroup.ts'
import philox from '../wgsl/philox.ts'
import { DROPOUT_PARAMS, dropoutParams, type Rng } from './dropout.ts'
import { COLUMN_WGSL, GROUP_WGSL } from './groups.ts'
import { type ByWidth, byWidth, STORAGE_WGSL } from './width.ts'

const params = {
  rows: 'u32',
  H: 'u32',
  eps: 'f32',
  per_block: 'u32',
  accumulate: 'u32',
  gate: 'f32',
  ...DROPOUT_PARAMS,
  second: 'u32',
  rectify: 'u32',
} as const

/** What stands before and after the normalisation, and how rows are shared out: each a constant of the kernels. */
export interface Variant {
  RESIDUAL?: number
  DROP_IN?: number
  DROP_OUT?: number
  RELU?: number
  BLOCKS?: number
  AFTER?: number
  BLOCK?: number
  SHIFTS?: number
  SUMS?: number
  WHOLE?: number
  LANES?: number
  PER?: number
  SUBGROUPS?: number
  COLUMNS?: number
}

type Kernels = ByWidth<keyof typeof params>

const DEFAULTS = { RESIDUAL: 0, DROP_IN: 0, DROP_OUT: 0, RELU: 0, AFTER: 7, SHIFTS: 1 }
const FORMS = {
  invocation: {
    wgsl: philox + STORAGE_WGSL + values + wgsl,
    constants: { ...DEFAULTS, BLOCKS: 0, ROWS: 2, BLOCK: 2 },
  },
  workgroup: {
    wgsl: GROUP_WGSL + philox + STORAGE_WGSL + values + COLUMN_WGSL + workgroupWgsl,
    constants: { ...DEFAULTS, SUMS: 0, WHOLE: 0 },
  },
}

const made = new Map<string, Kernels>()

/** Rows an invocation of the `invocation` form takes: its constant ROWS. */
export const ROWS = FORMS.invocation.constants.ROWS

/** An entry of a form: a row an invocation (layernorm.wgsl), or a row a workgroup (layernorm_workgroup.wgsl). */
export function layerNormKernel(
  form: keyof typeof FORMS,
  entry: string,
  bindings: Access[],
  workgroup: number,
  variant: Variant = {},
): Kernels {
  // Of an entry's constants the same are given in every launch, in one order: their values tell its kernels apart.
  let key = `${form} ${entry} ${workgroup}`
  for (const name in variant) key += ` ${variant[name as keyof Variant]}`
  let found = made.get(key)
  if (!found) {
    const { wgsl, constants } = FORMS[form]
    found = byWidth(
      defineKernel({
        name: 'layernorm',
        wgsl,
        entry,
        params,
        bindings,
        workgroup,
        constants: { ...constants, ...variant },
      }),
    )
    made.set(key, found)
  }
  return found
}

/** Dropout with probability p under the mask that `dropout` draws for the same rng. */
export interface FusedDropout {
  /** Probability of a zero, 0 <= p < 1. */
  p: number
  /** The key of the mask. */
  rng: Rng
}

const NO_DROPOUT: FusedDropout = { p: 0, rng: { seed: 0, layer: 0, step: 0 } }

/** The parameters of a launch, as far as all have them. */
export function layerNormParams(
  rows: number,
  H: number,
  width: 1 | 4,
  drop: FusedDropout = NO_DROPOUT,
): Record<keyof typeof params, number> {
  return {
    rows,
    H: H / width,
    eps: 0,
    per_block: 0,
    accumulate: 0,
    gate: 1,
    ...dropoutParams(drop.p),
    ...drop.rng,
    second: 0,
    rectify: 0,
  }
}
