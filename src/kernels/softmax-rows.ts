// Kernels over the softmax of rows on GPUs: a row for some invocations of a workgroup (softmax_rows.wgsl), or a value for each.
import { defineKernel, type Gpu, type Kernel, type View, withConstants } from '../gpu/index.ts'
import rowsWgsl from '../wgsl/softmax_rows.ts'
import { GROUP_WGSL, readGroup, rowGroups, subgroupsOf } from './groups.ts'
import { widthOf } from './width.ts'

/** Invocations of a workgroup in which they have nothing to do with each other. */
const WG = 256

type Declared = Pick<Kernel, 'name' | 'wgsl' | 'entry' | 'params' | 'bindings'>

/** Parameters of a launch: C, and `first` where there is one, in values; the kernel gets them in E. */
interface Rows {
  rows: number
  C: number
  first?: number
  at?: number
  parts?: number
}

type Launch = (gpu: Gpu, params: Rows, views: View[]) => void

/** What launches a kernel whose rows are shared by invocations. */
export function byRow(declared: Declared): Launch {
  const kernel = define(declared)
  const made = new Map<string, Kernel>()
  return (gpu, params, views) => {
    const [WIDTH, counted] = inWidth(params)
    const group = readGroup(counted.C!)
    const { workgroup, LANES } = group
    const SUBGROUPS = subgroupsOf(gpu)
    const key = `${LANES} ${WIDTH} ${SUBGROUPS}`
    let found = made.get(key)
    if (!found) {
      found = { ...withConstants(kernel, { LANES, WIDTH, SUBGROUPS }), workgroup }
      made.set(key, found)
    }
    gpu.launch(found, counted, views, rowGroups(params.rows, group))
  }
}

/** What launches a kernel whose invocations take one value, or four side by side. */
export function byValue(declared: Declared): Launch {
  const kernel = { ...define(declared), workgroup: WG }
  const by = { 1: withConstants(kernel, { WIDTH: 1 }), 4: withConstants(kernel, { WIDTH: 4 }) }
  return (gpu, params, views) => {
    const [width, counted] = inWidth(params)
    gpu.launch(by[width], counted, views, Math.ceil((params.rows * counted.C!) / WG))
  }
}

/** What launches one workgroup for all rows, an invocation each. */
export function byOneGroup(declared: Declared): Launch {
  const kernel = { ...define(declared), workgroup: WG }
  const both = [0, 1].map(SUBGROUPS => withConstants(kernel, { LANES: WG, WIDTH: 1, SUBGROUPS }))
  return (gpu, params, views) => gpu.launch(both[subgroupsOf(gpu)]!, { ...params }, views, 1)
}

const define = (declared: Declared) =>
  defineKernel({ ...declared, wgsl: GROUP_WGSL + rowsWgsl + declared.wgsl })

function inWidth({ C, first, ...others }: Rows): [1 | 4, Record<string, number>] {
  const width = widthOf(C, first ?? 0)
  return [width, { ...others, C: C / width, ...(first !== undefined && { first: first / width }) }]
}
