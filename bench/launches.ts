// What a program launches, seen at `gpu.launch`: over how many values, by how many invocations.
import type { Gpu, Kernel, View } from '../src/gpu/index.ts'

/** A launch. */
export interface Launched {
  /** Label of its pipeline: 'layernorm.forward'. */
  name: string
  kernel: Kernel
  params: Record<string, number>
  /** Bytes of each binding. */
  bytes: number[]
  groups: number
  invocations: number
  /** 4-byte values of the longest thing it works on; of a table, those of the rows that it is told. */
  values: number
  /** Values times the steps that each of them takes: the optimizer replays steps that rows sat out. */
  valueSteps: number
}

/** Launches and the uploads that they read, from when it was made. */
export class LaunchLog {
  launches: Launched[] = []
  readonly #gpu: Gpu
  readonly #launch: Gpu['launch']
  readonly #from: Gpu['from']

  constructor(gpu: Gpu) {
    this.#gpu = gpu
    this.#launch = gpu.launch
    this.#from = gpu.from
    /** What host data a buffer was made of. */
    const contents = new WeakMap<GPUBuffer, ArrayLike<number>>()
    gpu.from = data => {
      const view = this.#from.call(gpu, data)
      contents.set(view.buffer, data)
      return view
    }
    gpu.launch = (kernel, params, views, grid, work) => {
      this.#launch.call(gpu, kernel, params, views, grid, work)
      const groups = typeof grid === 'number' ? grid : grid[0] * grid[1] * grid[2]
      const values = valuesOf(kernel, params, views)
      this.launches.push({
        name: `${kernel.name}.${kernel.entry}`,
        kernel,
        params,
        bytes: views.map(({ size }) => size),
        groups,
        invocations: groups * kernel.workgroup,
        values,
        valueSteps: valueStepsOf(kernel, params, views, contents) ?? values,
      })
    }
  }

  /** The launches since it was made or last asked. */
  take(): Launched[] {
    const taken = this.launches
    this.launches = []
    return taken
  }

  /** Lets the device launch as before. */
  remove(): void {
    this.#gpu.launch = this.#launch
    this.#gpu.from = this.#from
  }
}

/** Values of the rows that a launch takes of a table, which is bound whole. */
function rowsOf({ name, constants }: Kernel, params: Record<string, number>): number | undefined {
  const width = params.width ?? params.H
  const wide = constants.WIDTH ?? 1
  // Several tables at once: the columns that are joined, or the rows whose gradients are added up.
  if ('ids0' in params) return params.n! * (params.last! - params.first!) * wide
  if ('positions0' in params)
    return Math.max(...Object.entries(params).map(([key, at]) => (key.startsWith('end') ? at : 0))) * wide
  const ofTable = 'first_entry' in params || name === 'embedding'
  return ofTable && width !== undefined ? params.n! * width * wide : undefined
}

const valuesOf = (kernel: Kernel, params: Record<string, number>, views: readonly View[]): number =>
  rowsOf(kernel, params) ?? Math.max(0, ...views.map(({ size }) => size / 4))

/** Of the optimizer's rows: entries are pairs of a row and the first step it takes. */
function valueStepsOf(
  kernel: Kernel,
  params: Record<string, number>,
  views: readonly View[],
  contents: WeakMap<GPUBuffer, ArrayLike<number>>,
): number | undefined {
  const { first_entry: first, n, until, with_grad: withGrad = 0 } = params
  if (first === undefined || n === undefined || until === undefined) return undefined
  const entries = contents.get(views[1]!.buffer)
  if (!entries) throw new Error(`${kernel.name}.${kernel.entry} reads entries that gpu.from has not uploaded`)
  let steps = 0
  for (let i = first; i < first + n; i++) steps += until - entries[2 * i + 1]! + withGrad
  return (steps * rowsOf(kernel, params)!) / n
}
