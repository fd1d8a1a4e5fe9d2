// Loops that never let go of memory are told so, once per device. Two things are counted: tensors that were made outside every
// scope and are still there (a step without `scope`), and results on the tape that wait for a backward pass (forward passes without
// `noGrad`). Both only grow in a loop that forgets them; whoever keeps many tensors on purpose keeps as many from step to step.
import type { Gpu } from '../gpu/index.ts'
import type { Tensor } from './tensor.ts'

/** Steps in a row after each of which more tensors were left, and passes that wait, before it is said. */
const STEPS = 50
export const PASSES = 50
/** Results of operations that nothing will free, before it is said. */
const RESULTS = 2000

/** In `Tensor.growth`: made outside every scope, and a result there. */
const LOOSE = 1
const RESULT = 2

interface Count {
  loose: number
  results: number
  /** Of loose tensors, after the last step. */
  last: number
  /** Steps in a row after which there were more. */
  streak: number
  told: boolean
}
const counts = new WeakMap<Gpu, Count>()

function countOf(gpu: Gpu): Count {
  let count = counts.get(gpu)
  if (!count) {
    count = { loose: 0, results: 0, last: 0, streak: 0, told: false }
    counts.set(gpu, count)
  }
  return count
}

type Handler = (message: string) => void
let handler: Handler = message => console.warn(message)

/**
 * Sets who hears that a loop's memory grows from step to step, which is said once per device; `console.warn` unless set.
 * @returns who heard it until now
 *
 * @example
 * ```ts
 * import { onMemoryGrowth } from 'kernelgrad'
 *
 * onMemoryGrowth(message => { throw new Error(message) }) // in tests
 * ```
 */
export function onMemoryGrowth(next: Handler): Handler {
  const before = handler
  handler = next
  return before
}

function tell(count: Count, message: string): void {
  if (count.told) return
  count.told = true
  handler(`kernelgrad: ${message}`)
}

/** Notes a tensor that no scope will free. */
export function loosen(tensor: Tensor): void {
  tensor.growth |= LOOSE
  countOf(tensor.gpu).loose++
}

/** It is freed, or belongs to whoever frees it. */
export function tighten(tensor: Tensor): void {
  if (!(tensor.growth & LOOSE)) return
  const count = countOf(tensor.gpu)
  count.loose--
  if (tensor.growth & RESULT) count.results--
  tensor.growth &= ~(LOOSE | RESULT)
}

/** Notes an operation's result. */
export function noteResult(tensor: Tensor): void {
  if (!(tensor.growth & LOOSE) || tensor.growth & RESULT) return
  tensor.growth |= RESULT
  const count = countOf(tensor.gpu)
  if (++count.results < RESULTS || count.told) return
  tell(
    count,
    `${RESULTS} results of operations were made outside every scope and are still there, and memory grows. Put a step inside ` +
      'scope(() => { … }), and an evaluation inside scope(() => noGrad(() => model.forward(batch))); or dispose() what is no longer needed',
  )
}

/** Notes that an optimizer took a step. */
export function noteStep(gpu: Gpu): void {
  const count = countOf(gpu)
  count.streak = count.loose > count.last ? count.streak + 1 : 0
  count.last = count.loose
  if (count.streak < STEPS || count.told) return
  tell(
    count,
    `after each of the last ${STEPS} steps, more tensors were left that nothing frees (${count.loose} now), and memory grows. Put the ` +
      'step inside scope(() => { model.forward(batch).loss.backward() })',
  )
}

/** What a tape's entry is to the count. */
interface Recorded {
  inputs: readonly Tensor[]
  output: Tensor
}

/**
 * Whether many passes wait on the tape: groups of entries that share nothing but a leaf, of which each has a result that nothing
 * took. One pass with many branches is one group, once they meet, or uses a leaf once a branch.
 */
export function notePasses(gpu: Gpu, entries: readonly Recorded[]): boolean {
  const parent = new Map<Tensor, Tensor>()
  const rootOf = (tensor: Tensor): Tensor => {
    let root = tensor
    for (let up = parent.get(root); up !== undefined && up !== root; up = parent.get(root)) root = up
    return root
  }
  for (const { inputs, output } of entries) {
    parent.set(output, output)
    for (const input of inputs) if (parent.has(input)) parent.set(rootOf(input), output)
  }
  const uses = new Map<Tensor, Set<Tensor>>()
  for (const { inputs, output } of entries) {
    for (const input of inputs) {
      if (parent.has(input) || !input.requiresGrad) continue
      const roots = uses.get(input) ?? new Set()
      uses.set(input, roots.add(rootOf(output)))
      if (roots.size < PASSES) continue
      tell(
        countOf(gpu),
        `${PASSES} forward passes wait on the tape for a backward(), and memory grows. Where none follows, run them inside ` +
          'scope(() => noGrad(() => model.forward(batch))); otherwise call backward() on what each step computes',
      )
      return true
    }
  }
  return false
}
