// Times the forms of the matrix product on the adapter at hand, per class of shapes, and keeps the fastest.
import type { Gpu } from '../gpu/index.ts'
import { matmul } from './matmul.ts'
import { candidates, type MatmulShape, shapeClass } from './matmul-forms.ts'
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

/** Another form must be this much faster than the built-in one, or noise would choose. */
const GAIN = 1.05
const SAMPLE_MS = 8

/**
 * Times every candidate form once for the classes of `shapes` and their neighbours (batches half and twice as long), and
 * stores the choices: see `storeChoices`. Matrices are random.
 *
 * @returns what was measured, and the file that the choices were written to, if any
 */
export async function tuneMatmul(
  gpu: Gpu,
  shapes: Iterable<MatmulShape>,
  onClass: (tuned: TunedClass, index: number, count: number) => void = () => {},
): Promise<{ tuned: TunedClass[]; path: string | undefined }> {
  const classes = new Map<string, MatmulShape>()
  for (const seen of shapes) {
    for (const shape of withNeighbours(seen)) {
      const name = shapeClass(shape)
      if (!classes.has(name)) classes.set(name, shape)
    }
  }
  const tuned: TunedClass[] = []
  for (const [name, shape] of classes) {
    const result = await tuneClass(gpu, name, shape)
    tuned.push(result)
    onClass(result, tuned.length, classes.size)
  }
  const choices: Choices = Object.fromEntries(tuned.map(({ shapeClass, form }) => [shapeClass, form]))
  return { tuned, path: storeChoices(gpu, choices) }
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

async function tuneClass(gpu: Gpu, name: string, shape: MatmulShape): Promise<TunedClass> {
  const { M, N, K } = shape
  const random = (n: number) => gpu.from(Float32Array.from({ length: n }, Math.random))
  const [a, b, c] = [random(M * K), random(K * N), gpu.acquire(M * N * 4)]
  try {
    const [builtIn, ...others] = candidates(gpu, shape)
    const time = (form: string) => timeOf(gpu, () => matmul(gpu, { ...shape, a, b, c, form }))
    const builtInMs = await time(builtIn!)
    let [form, ms] = [builtIn!, builtInMs]
    for (const other of others) {
      const took = await time(other)
      if (took * GAIN < Math.min(ms, builtInMs)) [form, ms] = [other, took]
    }
    return { shapeClass: name, form, ms, builtIn: builtIn!, builtInMs }
  } finally {
    for (const view of [a, b, c]) gpu.release(view)
  }
}

/** Milliseconds of one `run`, the best of three samples; the first run, which compiles, does not count. */
async function timeOf(gpu: Gpu, run: () => void): Promise<number> {
  const once = async (count: number) => {
    const started = performance.now()
    for (let i = 0; i < count; i++) run()
    await gpu.done()
    return performance.now() - started
  }
  await once(1)
  const count = Math.min(Math.max(Math.ceil(SAMPLE_MS / (await once(1))), 1), 200)
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < 3; i++) best = Math.min(best, (await once(count)) / count)
  return best
}
