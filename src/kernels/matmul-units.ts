// Which matrix units of a GPU the products may use: those that its adapter offers, once a product by them has come out right.
import { type Gpu, MATRIX_FEATURE } from '../gpu/index.ts'

/** A matrix unit: it multiplies BM x BK by BK x BN values, and sums in float32. */
export interface MatrixUnit {
  BM: number
  BN: number
  BK: number
  /** Its operands are halves; float32 otherwise. */
  halves: boolean
  /** How the device's WGSL spells the order of what is loaded: by name, or by true and false. */
  named: boolean
  /** Played by groups of so many invocations, where there is no unit: 32 for tests, 0 for real ones. */
  lanes: number
}

/** Units of a device, by what they multiply. */
interface Units {
  f16?: MatrixUnit
  f32?: MatrixUnit
}

const found = new WeakMap<Gpu, Units>()

/** The units that products of a device take. */
export const matrixUnits = (gpu: Gpu): Readonly<Units> => found.get(gpu) ?? {}

/** Takes a unit, or with undefined none, for products of halves or of float32. */
export function setMatrixUnit(gpu: Gpu, operands: keyof Units, unit: MatrixUnit | undefined): void {
  const { [operands]: _, ...others } = matrixUnits(gpu)
  found.set(gpu, unit ? { ...others, [operands]: unit } : others)
}

/** A configuration as the adapter's information names it. */
interface Configuration {
  componentType: string
  resultComponentType: string
  M: number
  N: number
  K: number
}

/** Values of k that a tile holds, and lanes that matmul_matrix.wgsl can share its tile among. */
const TILE_K = 16

/** The units that an adapter offers and matmul_matrix.wgsl can use: the largest for halves and for float32. */
export function offeredUnits(gpu: Gpu): Omit<MatrixUnit, 'named' | 'lanes'>[] {
  const { features, subgroups, adapter } = gpu
  if (!features.has(MATRIX_FEATURE) || !subgroups) return []
  const { subgroupMatrixConfigs } = adapter.adapter.info as {
    subgroupMatrixConfigs?: Iterable<Configuration>
  }
  const fits = [...(subgroupMatrixConfigs ?? [])].filter(
    ({ resultComponentType, M, N, K }) =>
      resultComponentType === 'f32' && 32 % M === 0 && 16 % N === 0 && TILE_K % K === 0,
  )
  return (['f16', 'f32'] as const).flatMap(type => {
    if (type === 'f16' && !features.has('shader-f16')) return []
    const [best] = fits
      .filter(({ componentType }) => componentType === type)
      .sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K)
    return best ? [{ BM: best.M, BN: best.N, BK: best.K, halves: type === 'f16' }] : []
  })
}

/** Lanes of a workgroup: four subgroups of the most there may be. */
export const matrixWorkgroup = (gpu: Gpu, { lanes }: MatrixUnit): number =>
  Math.max(4 * (lanes || gpu.subgroups!.most), 128)
