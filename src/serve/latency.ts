// How long the parts of requests took: the last of them, so that memory stays bounded.

/** Milliseconds of one part. */
export interface PartLatency {
  /** Requests that had this part, since the start. */
  count: number
  /** The median of the last 4,096; 0 before the first. */
  p50: number
  /** What 99 in 100 of those took at most. */
  p99: number
}

/** Parts of a request, in order, and all of it. */
export type Part = 'tokenize' | 'encode' | 'score' | 'topK' | 'total'

const PARTS: readonly Part[] = ['tokenize', 'encode', 'score', 'topK', 'total']
const KEPT = 4096

/** Collects the times of parts. */
export class Latencies {
  readonly #times = Object.fromEntries(PARTS.map(part => [part, new Float64Array(KEPT)])) as Record<
    Part,
    Float64Array
  >
  readonly #counts = Object.fromEntries(PARTS.map(part => [part, 0])) as Record<Part, number>

  add(part: Part, ms: number): void {
    this.#times[part][this.#counts[part]++ % KEPT] = ms
  }

  result(): Record<Part, PartLatency> {
    return Object.fromEntries(
      PARTS.map(part => {
        const count = this.#counts[part]
        const sorted = this.#times[part].slice(0, Math.min(count, KEPT)).sort()
        return [part, { count, p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) }]
      }),
    ) as Record<Part, PartLatency>
  }
}

/** The smallest value that a share of all does not exceed. Source: nearest-rank percentile. */
export function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)] ?? 0
}
