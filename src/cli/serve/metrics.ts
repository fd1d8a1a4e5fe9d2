// What a server counts, as Prometheus reads it. Source: https://prometheus.io/docs/instrumenting/exposition_formats
import type { ScorerState } from '../../serve/index.ts'

/** Seconds by which answers are told apart. */
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Requests by status, and how long those to /predict took. */
export class RequestMetrics {
  readonly #byCode = new Map<number, number>()
  /** The last counts those beyond all bounds. */
  readonly #buckets = new Array<number>(BOUNDS.length + 1).fill(0)
  #seconds = 0
  #inFlight = 0

  begin(): void {
    this.#inFlight++
  }

  /** @param code undefined where the client had gone */
  end(code: number | undefined, seconds: number): void {
    this.#inFlight--
    const key = code ?? 499 // as nginx counts it
    this.#byCode.set(key, (this.#byCode.get(key) ?? 0) + 1)
    const at = BOUNDS.findIndex(bound => seconds <= bound)
    this.#buckets[at < 0 ? BOUNDS.length : at]!++
    this.#seconds += seconds
  }

  text(state: ScorerState): string {
    const lines: string[] = []
    const family = (name: string, type: string, help: string, samples: [labels: string, value: number][]) => {
      lines.push(`# HELP kernelgrad_${name} ${help}`, `# TYPE kernelgrad_${name} ${type}`)
      for (const [labels, value] of samples) lines.push(`kernelgrad_${name}${labels} ${value}`)
    }
    const one = (name: string, type: string, help: string, value: number) =>
      family(name, type, help, [['', value]])
    const codes = [...this.#byCode].sort(([a], [b]) => a - b)
    family(
      'requests_total',
      'counter',
      'Requests to /predict that were answered, by status; 499 where the client had gone.',
      codes.map(([code, count]) => [`{code="${code}"}`, count]),
    )
    let count = 0
    const samples = [...BOUNDS, '+Inf'].map((bound, i): [string, number] => {
      count += this.#buckets[i]!
      return [`_bucket{le="${bound}"}`, count]
    })
    family('request_seconds', 'histogram', 'From the whole request to its answer.', [
      ...samples,
      ['_sum', this.#seconds],
      ['_count', count],
    ])
    one('requests_in_flight', 'gauge', 'Requests that are being answered.', this.#inFlight)
    one('rows_total', 'counter', 'Rows that were scored.', state.rows)
    one('batches_total', 'counter', 'Batches that they made.', state.batches)
    one('rows_waiting', 'gauge', 'Rows that wait or are being scored.', state.waiting)
    one('devices_lost_total', 'counter', 'Devices that were lost and replaced.', state.devicesLost)
    one('models_replaced_total', 'counter', 'Model folders that were taken over.', state.modelsReplaced)
    one('ready', 'gauge', '1 while a device is there.', Number(state.ready))
    one('resident_memory_bytes', 'gauge', 'Memory of the process.', process.memoryUsage.rss())
    return `${lines.join('\n')}\n`
  }
}
