// Times the forms of the matrix product on the adapter at hand, per class of shapes, and keeps the fastest.
import { expectDevice, expectFunction, shown } from '../check.ts'
import { ArgumentError, DeviceLostError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { fill } from './elementwise.ts'
import { matmul } from './matmul.ts'
import { candidates, checkShape, type MatmulShape, shapeClass } from './matmul-forms.ts'
import { type Choices, storeChoices } from './tuning.ts'

/** What was measured for one class of shapes. */
export interface TunedClass {
  /** The class of shapes, as the cache file names it. */
  shapeClass: string
  /** The form that is taken from now on, and its milliseconds. */
  form: string
  /** Of the form that is taken. */
  ms: number
  /** The built-in choice, and its milliseconds. */
  builtIn: string
  /** Of the built-in choice. */
  builtInMs: number
}

/** Milliseconds that `count` calls of `run` take, which launches a form. */
export type Measure = (gpu: Gpu, run: () => void, count: number, form: string) => Promise<number>

/** How a class of shapes is timed. */
export interface ClassTiming {
  measure?: Measure | undefined
  /** Told of a form that does not run here; unless given, the error is thrown. */
  onRefused?: (form: string, error: Error) => void
  /** Forms that are timed at most, in the order of `candidates`; all unless given. */
  most?: number
}

/** Another form must be this much faster than the built-in one. */
const GAIN = 1.05
const SAMPLE_MS = 8
/** Times that each form is timed, all in turn: what disturbs one disturbs its neighbours. */
const ROUNDS = 5
/** Forms that take so many times as long as the best are not timed again. */
const HOPELESS = 2

/**
 * Times the candidate forms for the classes of `shapes` and their neighbours (batches half and twice as long), and
 * stores the choices: see `storeChoices`.
 *
 * @returns what was measured, and the file that the choices were written to, if any
 */
export async function tuneMatmul(
  gpu: Gpu,
  shapes: Iterable<MatmulShape>,
  onClass: (tuned: TunedClass, index: number, count: number) => void = () => {},
): Promise<{ tuned: TunedClass[]; path: string | undefined }> {
  expectDevice('tuneMatmul: gpu', gpu)
  if (typeof shapes === 'string' || typeof shapes?.[Symbol.iterator] !== 'function')
    throw new ArgumentError(
      `tuneMatmul: shapes are ${shown(shapes)}, expected an array, as collectShapes() makes`,
    )
  expectFunction('tuneMatmul: onClass', onClass)
  const classes = new Map<string, MatmulShape>()
  for (const seen of shapes) {
    checkShape('tuneMatmul', seen)
    for (const shape of withNeighbours(seen)) {
      const name = shapeClass(shape)
      if (!classes.has(name)) classes.set(name, shape)
    }
  }
  const tuned: TunedClass[] = []
  for (const shape of classes.values()) {
    const result = await tuneClass(gpu, shape)
    tuned.push(result)
    onClass(result, tuned.length, classes.size)
  }
  const choices: Choices = Object.fromEntries(tuned.map(({ shapeClass, form }) => [shapeClass, form]))
  return { tuned, path: await storeChoices(gpu, choices) }
}

/** The dimension that follows a batch's length: rows of the result, or of the sum in a weight's gradient. */
function withNeighbours(shape: MatmulShape): MatmulShape[] {
  const long = shape.layout === 'TN' ? 'K' : 'M'
  const size = shape[long]
  // Whether the length divides by 4 belongs to the class and varies with the batch.
  return [size, size * 2, Math.ceil(size / 2)].flatMap(length =>
    [4, 1].map(step => ({ ...shape, [long]: step === 4 ? Math.ceil(length / 4) * 4 : (length & ~3) + 1 })),
  )
}

/** Times the forms that can run for a shape. */
export async function tuneClass(gpu: Gpu, shape: MatmulShape, how: ClassTiming = {}): Promise<TunedClass> {
  const timer = new ClassTimer(gpu, shape, how)
  while (!timer.result) await timer.step()
  return timer.result
}

interface Samples {
  /** Milliseconds of the first time after the one that compiled. */
  once: number
  /** Launches a sample. */
  count: number
  /** Of one launch, a sample a round. */
  ms: number[]
}

/** The timing of one class in steps that other work may come between: a form each, which compile it, and then rounds of all forms in turn. */
export class ClassTimer {
  /** Once all is timed. */
  result: TunedClass | undefined
  readonly #gpu: Gpu
  readonly #shape: MatmulShape
  readonly #how: ClassTiming
  readonly #builtIn: string
  /** Those that have not run yet. */
  readonly #left: string[]
  readonly #samples = new Map<string, Samples>()
  #rounds = 0

  constructor(gpu: Gpu, shape: MatmulShape, how: ClassTiming) {
    this.#gpu = gpu
    this.#shape = shape
    this.#how = how
    this.#left = candidates(gpu, shape).slice(0, how.most)
    this.#builtIn = this.#left[0]!
  }

  /** Milliseconds that the next step will take; undefined of one that compiles. */
  get nextMs(): number | undefined {
    if (this.#left.length) return undefined
    return [...this.#samples.values()].reduce((sum, { once, count }) => sum + once * count, 0)
  }

  /** Takes the next step. Other work on the device is waited for first. */
  async step(): Promise<void> {
    const gpu = this.#gpu
    await gpu.done() // what went wrong before is not about a form
    const { M, N, K } = this.#shape
    const views = [M * K, K * N, M * N].map(n => gpu.allocate(n * 4, 'tuning'))
    const [a, b, c] = views as [View, View, View]
    try {
      fill(gpu, { out: a, value: 0.5, n: M * K })
      fill(gpu, { out: b, value: 0.25, n: K * N })
      const { measure = measured } = this.#how
      const times = (form: string, count: number) =>
        measure(gpu, () => matmul(gpu, { ...this.#shape, a, b, c, form }), count, form)
      if (this.#left.length) await this.#first(this.#left.shift()!, times)
      else await this.#round(times)
    } finally {
      for (const view of views) gpu.release(view)
    }
  }

  async #first(form: string, times: (form: string, count: number) => Promise<number>): Promise<void> {
    try {
      await times(form, 1) // compiles
      const once = await times(form, 1)
      const count = Math.min(Math.max(Math.ceil(SAMPLE_MS / once), 1), 200)
      this.#samples.set(form, { once, count, ms: [] })
    } catch (error) {
      const { onRefused } = this.#how
      if (!onRefused || form === this.#builtIn || error instanceof DeviceLostError) throw error
      onRefused(form, error as Error)
    }
  }

  async #round(times: (form: string, count: number) => Promise<number>): Promise<void> {
    const samples = this.#samples
    for (const [form, { count, ms }] of samples) ms.push((await times(form, count)) / count)
    const bestOf = ({ once, ms }: Samples) => Math.min(once, ...ms)
    const best = Math.min(...[...samples.values()].map(bestOf))
    for (const [form, times] of samples)
      if (form !== this.#builtIn && bestOf(times) > HOPELESS * best) samples.delete(form)
    if (++this.#rounds < ROUNDS) return
    const builtIn = this.#builtIn
    const sorted = new Map([...samples].map(([form, { ms }]) => [form, ms.sort((x, y) => x - y)]))
    const form = fastestOf(builtIn, sorted)
    const middle = (form: string) => sorted.get(form)![ROUNDS >> 1]!
    const [ms, builtInMs] = [middle(form), middle(builtIn)]
    this.result = { shapeClass: shapeClass(this.#shape), form, ms, builtIn, builtInMs }
  }
}

/**
 * The form of the least median, if that is less than the built-in form's by more than either's times differ among themselves, and by
 * a twentieth: within that, noise would choose. The slowest time of each is left out, because other work only ever adds.
 */
function fastestOf(builtIn: string, sorted: ReadonlyMap<string, readonly number[]>): string {
  const middle = (form: string) => sorted.get(form)![ROUNDS >> 1]!
  const spread = (form: string) => sorted.get(form)!.at(-2)! - sorted.get(form)![0]!
  const standard = middle(builtIn)
  const faster = [...sorted.keys()].filter(
    form =>
      middle(form) * GAIN < standard && standard - middle(form) > Math.max(spread(form), spread(builtIn)),
  )
  return faster.sort((x, y) => middle(x) - middle(y))[0] ?? builtIn
}

const measured: Measure = async (gpu, run, count) => {
  const started = performance.now()
  for (let i = 0; i < count; i++) run()
  await gpu.done()
  return performance.now() - started
}
