// What GPUs of each maker are taken to be, and how long a form of the matrix product would take on one: a model on paper,
// which a tuner's measurements overrule. It is for the choice among forms; its unit is a multiply-add of one compute unit.

/** A GPU as the choice of forms sees it. */
export interface Card {
  /** Compute units (NVIDIA's multiprocessors, AMD's compute units, Apple's cores) of the maker's large cards. */
  units: number
  /** Speed of each form that is taken, by name, in percent of the fastest once all units are busy. */
  rates: Readonly<Record<string, number>>
  /** Operands that are halves stay so in workgroup memory, where shader-f16 is offered. */
  halves?: boolean
}

/** A form's workgroup. */
export interface GroupOfTiles {
  /** Rows and columns of a tile. */
  rows: number
  columns: number
  /** Tiles that it computes. */
  tiles: number
  /** Its invocations. */
  lanes: number
  /** Values of k that it takes at a time. */
  step: number
}

/** Sizes of a product, or of `count` of them at once. */
interface Products {
  M: number
  N: number
  K: number
  count?: number
}

/** Percent of the largest tile's, by the loads of a multiply-add and what the lab's compilers make of the loops (bench/NOTES.md). */
const TILES = {
  'workgroup 128x128': 100,
  'workgroup 64x64': 81,
  'workgroup 32x64': 63,
  'workgroup 32x32': 61,
  'workgroup 32x32 sliced': 55,
  '8x8': 20,
  '4x4': 12,
  '1x4': 4,
}
/** The same of bmm.wgsl's 4x8, beside those tiles. */
export const PLAIN_BATCHED = { rate: 15, group: { rows: 4, columns: 8, tiles: 64, lanes: 64, step: 1 } }
/** Workgroup memory of Mali lies in its main memory, and Adreno's is slower than its texture cache: registers alone. */
const REGISTERS = { '8x8': 100, '8x4': 80, '4x4': 60, '1x4': 20 }

/** By the names that WebGPU has for makers; RTX 4090, RX 7900 XTX, M3 Max, Arc A770, Mali-G720, Adreno 750. */
const CARDS: Record<string, Card> = {
  // Mesa's compiler for NVIDIA spills with 64 sums an invocation; a tuner may find that NVIDIA's own does not.
  nvidia: { units: 128, rates: { ...TILES, 'workgroup 128x128': 60 } },
  // Multiplying halves as they are forgoes the two multiply-adds an instruction that RDNA 3 has for float32.
  amd: { units: 96, rates: TILES },
  // Registers of halves feed float32 arithmetic as they are.
  apple: { units: 40, rates: TILES, halves: true },
  intel: { units: 32, rates: TILES },
  arm: { units: 12, rates: REGISTERS },
  qualcomm: { units: 12, rates: REGISTERS },
}
const UNKNOWN: Card = { units: 96, rates: TILES }

/** What is known of a maker's GPUs. */
export const cardOf = (vendor: string): Card =>
  (Object.hasOwn(CARDS, vendor) ? CARDS[vendor] : undefined) ?? UNKNOWN

/** Invocations that hide what a compute unit waits for: eight subgroups of 32, twice the least that fill its lanes. */
const BUSY = 256
/** What a workgroup takes before its first and after its last product, in values of k. */
const AROUND = 32
/** The launch that adds up parts, with the gap before it: two to four microseconds of a unit. */
const LAUNCH = 9e5
/** A value of a part, written and read again. */
const PART_VALUE = 64

/**
 * Multiply-adds of one unit until the last of the workgroups is done, each unit taking as many as any: slower where they are
 * too few for a unit's own lanes.
 */
function timeOf(
  { units }: Card,
  { rows, columns, tiles, lanes, step }: GroupOfTiles,
  rate: number,
  { M, N, K, count = 1 }: Products,
  splits: number,
): number {
  const groups = Math.ceil((count * Math.ceil(M / rows) * Math.ceil(N / columns) * splits) / tiles)
  const each = Math.ceil(groups / units)
  const depth = Math.ceil(Math.ceil(K / splits) / step) * step + AROUND
  const speed = (rate / 100) * Math.min(1, (each * lanes) / BUSY)
  const parts = splits > 1 ? LAUNCH + (PART_VALUE * count * M * N * splits) / units : 0
  return (each * tiles * rows * columns * depth) / speed + parts
}

/** Least values of k of a part: as many that parts move at most half of what the tiles load. */
const leastPart = ({ rows, columns, step }: GroupOfTiles): number =>
  Math.max(64, Math.ceil((4 * rows * columns) / (rows + columns) / step) * step)

/** In how many parts of K, `least` or more, a form is done first, and when. */
export function cheapest(
  card: Card,
  group: GroupOfTiles,
  rate: number,
  shape: Products,
  least: number,
): { splits: number; time: number } {
  const from = Math.max(least, 1)
  const most = Math.max(from, Math.floor(shape.K / leastPart(group)))
  let best = { splits: from, time: timeOf(card, group, rate, shape, from) }
  for (let splits = from + 1; splits <= most; splits++) {
    const time = timeOf(card, group, rate, shape, splits)
    if (time < best.time) best = { splits, time }
  }
  return best
}
