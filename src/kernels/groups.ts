// Kernels for GPUs that give a row to several invocations of a workgroup, or a workgroup some columns, and add up in it.
import type { Gpu } from '../gpu/index.ts'
import columnSum from '../wgsl/column_sum.ts'
import groupSum from '../wgsl/group_sum.ts'

/** Stands before the text of a family that adds up rows. */
export const GROUP_WGSL = groupSum
/** And before one that adds up columns. */
export const COLUMN_WGSL = columnSum

/** How rows are shared out, as constants of the kernels and their workgroup size. */
export interface RowGroup {
  /** Invocations of a workgroup, 64 to 256. */
  workgroup: number
  /** Of them those that share a row. */
  LANES: number
  /** Values, as the kernel counts them, that each holds; 0 where a row has too many. */
  PER: number
}

/** Registers for the values that an invocation holds: LayerNorm's backward pass holds five times as many besides. */
const REGISTERS = 16
const known = { 1: new Map<number, RowGroup>(), 4: new Map<number, RowGroup>() }

/**
 * The sharing of rows of `length` values, `width` wide. Short rows go several to a workgroup; others have one that leaves few
 * invocations without a value, as large as it can be.
 */
export function rowGroup(length: number, width: 1 | 4): RowGroup {
  let group = known[width].get(length)
  if (!group) {
    group = length <= 32 ? shortRows(length) : longRow(length, REGISTERS / width)
    known[width].set(length, group)
  }
  return group
}

const shortRows = (length: number): RowGroup => ({
  workgroup: 64,
  LANES: Math.max(2, 2 ** Math.ceil(Math.log2(Math.max(length, 1)))),
  PER: 1,
})

function longRow(length: number, most: number): RowGroup {
  const all = [256, 128, 64].map(workgroup => ({
    workgroup,
    LANES: workgroup,
    PER: Math.ceil(length / workgroup),
  }))
  const held = all.filter(({ PER }) => PER <= most)
  const waste = ({ LANES, PER }: RowGroup) => LANES * PER
  if (!held.length) return { ...all[0]!, PER: 0 }
  return held.reduce((best, one) => (waste(one) < waste(best) ? one : best))
}

/** The sharing of rows that are not held but read twice, so that PER counts for nothing. */
export function readGroup(length: number): Omit<RowGroup, 'PER'> {
  if (length <= 32) return shortRows(length)
  const workgroup = length <= 256 ? 64 : 256
  return { workgroup, LANES: workgroup }
}

/** Workgroups of so many rows. */
export const rowGroups = (rows: number, { workgroup, LANES }: Omit<RowGroup, 'PER'>): number =>
  Math.ceil((rows * LANES) / workgroup)

/** SUBGROUPS of group_sum.wgsl: what the device has, by way of subgroup operations or of workgroup memory. */
export const subgroupsOf = ({ subgroups }: Gpu): number => Number(subgroups !== undefined)

/** Invocations of a workgroup that adds up columns. */
export const COLUMN_WG = 256

/** Workgroups that fill a card with what adds up columns: 16,384 invocations. */
const COLUMN_GROUPS = 64

/**
 * COLUMNS of column_sum.wgsl for `C` columns of `form`'s values: 32 values side by side, or, where that makes few workgroups, as few as
 * take 32 bytes, or all there are, so that more invocations share them.
 */
export function columnsOf(C: number, form: 1 | 4 | 'f16'): number {
  const width = form === 1 ? 1 : 4
  const least = form === 'f16' ? 16 : 8
  let columns = Math.min(32 / width, 2 ** Math.ceil(Math.log2(Math.max(C, 1))))
  while (columns > least / width && Math.ceil(C / columns) < COLUMN_GROUPS) columns /= 2
  return columns
}
