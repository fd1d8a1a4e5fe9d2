// Tries a GPU's matrix units on a product whose result is known, before any other product takes them.
import { expectDevice } from '../check.ts'
import { DeviceLostError, KernelgradError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { cast } from './cast.ts'
import { type MatmulLayout, matmul } from './matmul.ts'
import { MATRIX_FORM } from './matmul-forms.ts'
import { matrixUnits, offeredUnits, setMatrixUnit } from './matmul-units.ts'

/** What became of a unit that an adapter offers. */
export interface ProbedUnit {
  /** Type of the values that it multiplies. */
  operands: 'f16' | 'f32'
  /** Rows, columns and values of k of its matrices. */
  size: readonly [M: number, N: number, K: number]
  /** Why it is not taken; undefined where it is. */
  refused: string | undefined
}

/** What came of each device. */
const probes = new WeakMap<Gpu, ProbedUnit[]>()

/** Sizes of the product: several tiles, ragged ones among them, of several steps, the last of them short. */
const [M, N, K] = [132, 72, 44]

/**
 * Tries the matrix units (tensor cores) that the device offers by its feature `chromium-experimental-subgroup-matrix`: a product of
 * small whole numbers, which every order of sums gives exactly, in each layout. Units that compute it take the products
 * of halves, or of float32, from then on; others are left alone. Without the feature nothing is tried; a device is tried once.
 *
 * @returns what was offered, and why what was refused is not taken
 */
export async function probeMatrixUnits(gpu: Gpu): Promise<ProbedUnit[]> {
  expectDevice('probeMatrixUnits: gpu', gpu)
  const known = probes.get(gpu)
  if (known) return known
  const units = offeredUnits(gpu)
  if (units.length) await gpu.done() // what went wrong before is not about a unit
  const probed: ProbedUnit[] = []
  for (const offered of units) {
    const operands = offered.halves ? 'f16' : 'f32'
    const { BM, BN, BK } = offered
    let refused: string | undefined
    for (const named of [true, false]) {
      const before = matrixUnits(gpu)[operands]
      setMatrixUnit(gpu, operands, { ...offered, named, lanes: 0 })
      refused = await wrong(gpu, operands)
      if (refused === undefined) break
      setMatrixUnit(gpu, operands, before)
    }
    probed.push({ operands, size: [BM, BN, BK], refused })
  }
  probes.set(gpu, probed)
  return probed
}

/** Why products by the unit that is set are wrong, or undefined. */
async function wrong(gpu: Gpu, operands: 'f16' | 'f32'): Promise<string | undefined> {
  for (const layout of ['NT', 'NN', 'TN'] as const) {
    const [a, b] = [operand(M, K, 64), operand(N, K, 33)]
    const views = [
      layout === 'TN' ? turned(a, M, K) : a,
      layout === 'NT' ? b : turned(b, N, K),
      new Float32Array(M * N).fill(Number.NaN),
    ].map(values => gpu.from(values)) as [View, View, View]
    try {
      const c = await product(gpu, operands, layout, views)
      for (let i = 0; i < c.length; i++) {
        const wanted = dot(a, b, Math.floor(i / N), i % N)
        if (c[i] !== wanted)
          return `${layout} ${M} x ${N} x ${K} gave ${c[i]} in row ${Math.floor(i / N)}, column ${i % N}, expected ${wanted}`
      }
    } catch (error) {
      if (!(error instanceof KernelgradError) || error instanceof DeviceLostError) throw error
      return error.message
    } finally {
      for (const view of views) gpu.release(view)
    }
  }
  return undefined
}

function product(
  gpu: Gpu,
  operands: 'f16' | 'f32',
  layout: MatmulLayout,
  [a, b, c]: [View, View, View],
): Promise<Float32Array> {
  const shape = { M, N, K, layout, form: MATRIX_FORM }
  if (operands === 'f32') {
    matmul(gpu, { ...shape, a, b, c })
    return gpu.readFloats(c)
  }
  gpu.scratch(take => {
    const half = (x: View, n: number) => {
      const y = take(n * 2, 'halves of a probe')
      cast(gpu, { x, y, n, to: 'f16' })
      return y
    }
    const stored = { a: 'f16', b: 'f16' } as const
    matmul(gpu, { ...shape, a: half(a, M * K), b: half(b, N * K), c, stored })
  })
  return gpu.readFloats(c)
}

/**
 * Rows of whole numbers from -8 to 7, which halves hold and whose products any order of sums adds up exactly. The first of each row
 * is large: sums that are kept in halves would lose the last digit.
 */
function operand(rows: number, k: number, first: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: rows * k }, (_, i) =>
    i % k ? (Math.imul(i + first, 0x9e3779b1) >>> 28) - 8 : first,
  )
}

function turned(values: Float32Array, rows: number, columns: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!)
}

function dot(a: Float32Array, b: Float32Array, m: number, n: number): number {
  let sum = 0
  for (let k = 0; k < K; k++) sum += a[m * K + k]! * b[n * K + k]!
  return sum
}
