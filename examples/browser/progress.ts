// Where a run stands, in figures: rows a second over the last seconds, and the time left at that rate.
import type { LogEntry } from 'kernelgrad/train'
import { byId, count, duration } from './dom.ts'
import type { ToPage } from './protocol.ts'

const WINDOW_MS = 10_000

let seen: { at: number; rows: number }[] = []

/** Forgets the rate: a pause is over, or a new run starts. */
export function restartClock(): void {
  seen = []
  say('rate', '–')
  say('left', '–')
}

const say = (id: string, text: string) => {
  byId(id).textContent = text
}

export function showStep(step: number, steps: number): void {
  const bar = byId<HTMLProgressElement>('bar')
  bar.max = steps
  bar.value = step
  say('step', `${count(step)} of ${count(steps)}`)
}

export function showProgress({ step, steps, rows, totalRows }: Extract<ToPage, { type: 'progress' }>): void {
  showStep(step, steps)
  const now = { at: performance.now(), rows }
  seen = [...seen.filter(({ at }) => now.at - at < WINDOW_MS), now]
  const first = seen[0]!
  if (now.at - first.at < 500) return
  const rate = (1000 * (rows - first.rows)) / (now.at - first.at)
  say('rate', count(Math.round(rate)))
  say('left', rate > 0 ? duration((totalRows - rows) / rate) : '–')
}

export function showFigures({ loss, eval_loss, eval_roc_auc, eval_pr_auc, eval_accuracy }: LogEntry): void {
  const figure = (id: string, value: number | undefined) => {
    if (value !== undefined) say(id, Number.isFinite(value) ? value.toFixed(3) : '–')
  }
  figure('loss', loss)
  figure('eval-loss', eval_loss)
  figure('auc', eval_roc_auc ?? eval_accuracy)
  figure('pr-auc', eval_pr_auc)
}
