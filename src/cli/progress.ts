import { Presets, SingleBar } from 'cli-progress'

interface ProgressUpdate {
  /** Rows or steps done so far, out of `total`. */
  done: number
  /** Rows done so far and in all, where there are any: they tell speed and time left. */
  rows?: number
  totalRows?: number
  /** Rows that an earlier run had done already, of `rows`. */
  startRows?: number
  loss?: number
  /** ROC AUC of the last evaluation. */
  auc?: number
}

export interface Progress {
  update(state: ProgressUpdate): void
  /** A line of its own, above the bar where there is one. */
  note(line: string): void
  stop(): void
}

export interface ProgressOptions {
  total: number
  label: string
  stream?: NodeJS.WritableStream & { isTTY?: boolean }
  /** Milliseconds between lines where no bar can be drawn. */
  interval?: number
  /** Milliseconds on some clock. */
  now?: () => number
}

/** A bar on a terminal, a line every 5 seconds elsewhere. */
export function createProgress(options: ProgressOptions): Progress {
  return (options.stream ?? process.stdout).isTTY ? bar(options) : lines(options)
}

/** What an update says besides how far it is: loss, AUC, speed and the time left, both at the mean pace of this run so far. */
function details(update: ProgressUpdate, elapsed: number): string {
  const { rows = 0, totalRows = 0, startRows = 0, loss, auc } = update
  const parts: string[] = []
  if (loss !== undefined) parts.push(`loss ${loss.toFixed(4)}`)
  if (auc !== undefined && !Number.isNaN(auc)) parts.push(`auc ${auc.toFixed(3)}`)
  if (rows > startRows && elapsed > 0) {
    const perSecond = ((rows - startRows) / elapsed) * 1000
    parts.push(`${formatRate(perSecond)} rows/s`)
    if (rows < totalRows) parts.push(`${formatSeconds((totalRows - rows) / perSecond)} left`)
  }
  return parts.join('  ')
}

const formatRate = (rate: number) => rate.toFixed(rate < 10 ? 1 : 0)

/** Seconds as '8s', '3m05s' or '2h07m'. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const two = (n: number) => String(n).padStart(2, '0')
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`
}

function bar(options: ProgressOptions): Progress {
  const { total, label, stream = process.stdout, now = Date.now } = options
  const format = `${label} {bar} {value}/{total}  {details}`
  // Redrawn always: after a note, the bar's unchanged text stands a line too high.
  const look = { format, stream, hideCursor: true, fps: 5, forceRedraw: true, barsize: 16 }
  const drawn = new SingleBar(look, Presets.shades_classic)
  const started = now()
  drawn.start(total, 0, { details: '' })
  return {
    update: state => drawn.update(state.done, { details: details(state, now() - started) }),
    note(line) {
      stream.write(`\r\x1b[K${line}\n`)
      drawn.render()
    },
    stop: () => drawn.stop(),
  }
}

function lines(options: ProgressOptions): Progress {
  const { total, label, stream = process.stdout, interval = 5000, now = Date.now } = options
  const started = now()
  let printed = started
  let pending: ProgressUpdate | undefined
  const print = (state: ProgressUpdate) => {
    const more = details(state, now() - started)
    stream.write(`${label} ${state.done}/${total}${more && `  ${more}`}\n`)
    printed = now()
    pending = undefined
  }
  return {
    update(state) {
      if (now() - printed >= interval) print(state)
      else pending = state
    },
    note: line => void stream.write(`${line}\n`),
    // The last state is always told, so that a short run says something too.
    stop() {
      if (pending) print(pending)
    },
  }
}
