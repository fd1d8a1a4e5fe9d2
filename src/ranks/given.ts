// What is handed over to ranks, checked where it enters.
import { COUNT, expectNumber, shown } from '../check.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import type { Ranks } from './ranks.ts'

/** @throws ArgumentError unless `given` is a Float32Array: other numbers would not be added in place */
export function expectFloats(where: string, given: unknown): asserts given is Float32Array {
  if (given instanceof Float32Array && !isGone(given)) return
  throw new ArgumentError(`${where} is ${told(given)}, expected a Float32Array: sums are written into it`)
}

/** @throws ArgumentError unless `given` is a Uint8Array */
export function expectBytes(where: string, given: unknown): asserts given is Uint8Array {
  if (given instanceof Uint8Array && !isGone(given)) return
  throw new ArgumentError(
    `${where} is ${told(given)}, expected a Uint8Array, as new Uint8Array(values.buffer, values.byteOffset, values.byteLength)`,
  )
}

/** @throws ArgumentError for what is no array of bytes, ShapeError unless there is a part for each rank */
export function expectParts(
  where: string,
  given: unknown,
  size: number,
): asserts given is readonly Uint8Array[] {
  if (!Array.isArray(given))
    throw new ArgumentError(`${where} is ${shown(given)}, expected an array with a Uint8Array for each rank`)
  if (given.length !== size)
    throw new ShapeError(
      `${where} has ${given.length} parts, expected ${size}: one for each rank, empty where nothing is sent`,
    )
  // By index: a hole is a part that is missing.
  for (let rank = 0; rank < size; rank++) expectBytes(`${where}[${rank}]`, given[rank])
}

/** @throws ArgumentError unless `given` says something */
export function expectReason(where: string, given: unknown): asserts given is string {
  if (typeof given === 'string' && given.trim() !== '') return
  throw new ArgumentError(`${where} is ${shown(given)}, expected a text that says why`)
}

/** Memory that was transferred away takes no view any more; not every Node has `ArrayBuffer.detached`. */
function isGone({ buffer }: Uint8Array | Float32Array): boolean {
  try {
    return new Uint8Array(buffer, 0, 0).length > 0
  } catch {
    return true
  }
}

const told = (given: unknown) =>
  ArrayBuffer.isView(given) && isGone(given as Uint8Array)
    ? `${shown(given)} whose memory was transferred away`
    : shown(given)

/** @throws ArgumentError for what is no room of processes, or one whose numbers cannot be right */
export function expectRanks(where: string, ranks: unknown): asserts ranks is Ranks {
  const given = (ranks ?? {}) as Partial<Ranks>
  const calls = ['sum', 'gather', 'exchange', 'barrier', 'abort', 'close'] as const
  if (typeof ranks !== 'object' || calls.some(name => typeof given[name] !== 'function'))
    throw new ArgumentError(
      `${where} is ${shown(ranks)}, expected the ranks of a run, as openRanks() gives, or alone`,
    )
  expectNumber(`${where}.size`, given.size, COUNT)
  expectNumber(`${where}.rank`, given.rank, {
    says: `a whole number from 0 to ${given.size! - 1}`,
    takes: x => Number.isInteger(x) && x >= 0 && x < given.size!,
  })
}
