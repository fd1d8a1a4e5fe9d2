// The tape: forward operations append an entry each, backward() walks them in reverse. An entry owns what it saved, and
// lets go of it as soon as its own backward step is recorded; queue order makes the memory safe to reuse at once.
import { expectOptions } from '../check.ts'
import { KernelgradError } from '../errors.ts'
import type { Gpu, View } from '../gpu/index.ts'
import { add, addInto } from '../kernels/elementwise.ts'
import { checkInputs, checkStart, notRecorded } from './calls.ts'
import { type Changing, changesSoFar, expectUnchanged } from './changes.ts'
import { expectGpu, expectTensor } from './checks.ts'
import { notePasses, noteResult, PASSES } from './growth.ts'
import { afterHooks, isHooked } from './hooks.ts'
import { untrack } from './scope.ts'
import { expectNoPromise, expectSynchronous } from './synchronous.ts'
import { type DType, empty, type Shape, Tensor, tensor } from './tensor.ts'

/** Where an operation's backward step writes the gradient of an input by itself. */
export interface GradTarget {
  /** The memory. */
  view: View
  /** Add to what is there (true), or overwrite every element (false). */
  accumulate: boolean
}

/** A leaf that keeps its gradient in memory of its own: parameters. */
interface GradHolder {
  gradTarget(): GradTarget
}

interface Entry {
  name: string
  inputs: Tensor[]
  output: Tensor
  backward: Backward
  saved: Tensor[]
  /** Tables that the backward step reads; inputs are tensors. */
  tables: readonly Changing[]
  /** How many changes of parameters there were. */
  since: number
}

/** Gradients for each input in turn; nothing where the input needs none or the step wrote it through `gradTarget`. */
type Backward = (dy: Tensor) => (Tensor | undefined)[] | undefined

/** What an operation works with. */
export interface OpContext {
  /** The device of the inputs. */
  gpu: Gpu
  /** Whether this call is recorded, so that a backward step may follow. */
  recording: boolean
  /** A tensor for the result or for memory only the forward step needs. */
  empty(shape: Shape, dtype?: DType): Tensor
  /** A tensor the backward step needs: freed after it, or at once when nothing is recorded. */
  saved(shape: Shape, dtype?: DType): Tensor
  /** Uploads ids or flags the backward step needs too. */
  savedIds(data: Uint32Array): Tensor
}

const tapes = new WeakMap<Gpu, Tape>()
let gradEnabled = true

class Tape {
  entries: Entry[] = []
  grads = new Map<Tensor, Tensor>()
  /** Entries whose result no other took, and at how many of them the tape is looked through: see growth.ts. */
  waiting = 0
  lookAt = PASSES
}

/** In `Tensor.growth`: the result of an entry that no other took. */
const WAITS = 4
/** So many more results, and the tape is looked through again. */
const LOOK_EVERY = 25

function tapeOf(gpu: Gpu): Tape {
  let tape = tapes.get(gpu)
  if (!tape) {
    tape = new Tape()
    tapes.set(gpu, tape)
  }
  return tape
}

/**
 * Runs `body` without recording, as `torch.no_grad()`.
 *
 * @example
 * ```ts
 * import { noGrad, scope, softmax } from 'kernelgrad'
 *
 * const probabilities = noGrad(() => scope(() => softmax(model.forward(batch).logits)))
 * ```
 *
 * @throws ArgumentError for an async function, which is not called, or one that returns a promise other than of `read()` or `item()`
 */
export function noGrad<T>(body: () => T): T {
  expectSynchronous('noGrad', body)
  const before = gradEnabled
  gradEnabled = false
  try {
    const result = body()
    expectNoPromise('noGrad', result)
    return result
  } finally {
    gradEnabled = before
  }
}

/**
 * Runs one differentiable operation: `run` launches the forward kernels and returns the result and the backward step.
 * It is recorded when gradients are enabled and an input (or `always`) wants one; the backward step may read `tables`. Where `run` throws, what it asked for is freed and
 * nothing is recorded.
 *
 * @throws ArgumentError for an input that is no tensor, is freed, or is on another device than `gpu`
 */
export function op(
  name: string,
  gpu: Gpu,
  inputs: Tensor[],
  run: (context: OpContext) => { output: Tensor; backward: Backward },
  always = false,
  tables: readonly Changing[] = [],
): Tensor {
  checkInputs(name, gpu, inputs)
  const recording = gradEnabled && (always || inputs.some(input => input.requiresGrad))
  const saved: Tensor[] = []
  const made: Tensor[] = []
  const note = (tensor: Tensor, kept: Tensor[]) => {
    kept.push(tensor)
    return tensor
  }
  const since = changesSoFar()
  let result: { output: Tensor; backward: Backward }
  try {
    result = run({
      gpu,
      recording,
      empty: (shape, dtype) => note(empty(gpu, shape, dtype), made),
      saved: (shape, dtype) => note(empty(gpu, shape, dtype), saved),
      savedIds: data => note(tensor(gpu, data), saved),
    })
  } catch (error) {
    for (const tensor of [...saved, ...made]) tensor.dispose()
    throw error
  }
  const { output, backward } = result
  if (recording) {
    output.requiresGrad = true
    record(tapeOf(gpu), { name, inputs, output, backward, saved, tables, since })
  } else for (const tensor of saved) tensor.dispose()
  noteResult(output)
  return output
}

function record(tape: Tape, entry: Entry): void {
  for (const input of entry.inputs) {
    if (!(input.growth & WAITS)) continue
    input.growth &= ~WAITS
    tape.waiting--
  }
  entry.output.growth |= WAITS
  tape.entries.push(entry)
  if (++tape.waiting >= tape.lookAt) lookThrough(tape)
}

/** Drops entries whose result is freed and wanted by none, and has it said where passes pile up. */
function lookThrough(tape: Tape): void {
  const wanted = new Set<Tensor>()
  const kept: Entry[] = []
  for (const entry of tape.entries.toReversed()) {
    if (entry.output.disposed && !wanted.has(entry.output)) {
      release(tape, entry)
      continue
    }
    for (const input of entry.inputs) wanted.add(input)
    kept.push(entry)
  }
  tape.entries = kept.reverse()
  tape.waiting = tape.entries.filter(({ output }) => output.growth & WAITS).length
  const told = tape.waiting >= PASSES && notePasses(tape.entries[0]!.output.gpu, tape.entries)
  tape.lookAt = told ? Infinity : Math.max(PASSES, tape.waiting + LOOK_EVERY)
}

/** Whether gradients of a tensor go straight to where it keeps them; what a hook waits for is gathered on the tape first. */
const isHolder = (tensor: Tensor): tensor is Tensor & GradHolder =>
  'gradTarget' in tensor && !isHooked(tensor)

/** Where the backward step may write `input`'s gradient itself, instead of returning it. */
export function gradTarget(input: Tensor): GradTarget {
  if (!(input instanceof Tensor)) expectTensor('gradTarget', 'input', input)
  if (isHolder(input)) return input.gradTarget()
  const { grads } = tapeOf(input.gpu)
  const known = grads.get(input)
  if (known && !known.shared) return { view: known.view, accumulate: true }
  const fresh = empty(input.gpu, input.shape, input.dtype)
  if (known) {
    input.gpu.copy(known.view, fresh.view, input.bytes)
    known.dispose()
  }
  grads.set(input, fresh)
  return { view: fresh.view, accumulate: known !== undefined }
}

/** Where a backward pass starts. */
export interface BackwardOptions {
  /** Multiplies the loss: 1 / n when n micro-batches make a step. */
  scale?: number
  /** The gradient to start from, of the result's shape; needed when the result is not one element. */
  seed?: Tensor
}

/**
 * Walks the tape back from `loss`, a tensor of one element unless a `seed` is given. Gradients add up in the parameters
 * and in `grad` of other leaf tensors until they are zeroed.
 *
 * @example
 * ```ts
 * import { mean, scope, tensor } from 'kernelgrad'
 *
 * const x = tensor(gpu, [1, 2, 3], [3], { requiresGrad: true })
 * scope(() => mean(x).backward())
 * console.log(await x.grad!.read()) // 1/3 each
 * ```
 *
 * @throws ShapeError for a result of several elements without a seed, or a seed of another shape; ArgumentError for a seed of
 *   another dtype or device; KernelgradError for a result that is not on the tape, saying why, or parameters that have changed since
 */
export function backward(loss: Tensor, options: BackwardOptions = {}): void {
  expectOptions('backward: options', options, ['scale', 'seed'])
  const { scale = 1, seed } = options
  checkStart(loss, scale, seed)
  const tape = tapeOf(loss.gpu)
  const start = tape.entries.findLastIndex(entry => entry.output === loss)
  if (start < 0) throw notRecorded(loss)
  loss.keep() // for loss.item()
  tape.grads.set(loss, seed?.retain() ?? tensor(loss.gpu, Float32Array.of(scale), loss.shape))
  try {
    walk(tape, start)
  } catch (error) {
    clearTape(loss.gpu) // gradients computed in part are of no use
    throw error
  }
}

declare module './tensor.ts' {
  interface Tensor {
    /** Computes the gradients of every tensor this result depends on. */
    backward(options?: BackwardOptions): void
  }
}

// Set here and not declared there: the tape makes tensors, so tensors do not load the tape.
Object.defineProperty(Tensor.prototype, 'backward', {
  configurable: true,
  writable: true,
  value(this: Tensor, options?: BackwardOptions) {
    backward(this, options)
  },
})

/** Consumes the graph of the entry at `start`; what is recorded and independent of it, as of another model, stays. */
function walk(tape: Tape, start: number): void {
  const { entries } = tape
  const produced = new Set(entries.map(entry => entry.output))
  const graph = new Set([entries[start]!.output])
  if (entries[0]!.since < changesSoFar()) checkChanges(entries, start)
  const leaves = new Set<Tensor>()
  for (let i = start; i >= 0; i--) {
    const entry = entries[i]!
    if (!graph.has(entry.output)) continue
    const gathered = tape.grads.get(entry.output)
    if (gathered) {
      const dy = hooked(tape, entry.output, gathered)
      const results = entry.backward(dy) ?? []
      for (let j = 0; j < results.length; j++) {
        const result = results[j]
        if (!result) continue
        const seen = result === dy || results.indexOf(result) < j
        addGrad(tape, entry.inputs[j]!, seen ? result.retain() : result)
      }
      tape.grads.delete(entry.output)
      dy.dispose()
      for (const input of entry.inputs) if (input.requiresGrad && !produced.has(input)) leaves.add(input)
    }
    for (const input of entry.inputs) if (produced.has(input)) graph.add(input)
    release(tape, entry)
  }
  tape.entries = entries.filter(entry => {
    if (graph.has(entry.output)) return false
    // What was computed from the graph can go nowhere without it, and what its scope has freed is no longer wanted.
    const over = entry.output.disposed || entry.inputs.some(input => graph.has(input))
    if (!over) return true
    graph.add(entry.output)
    release(tape, entry)
    return false
  })
  tape.lookAt = Math.max(PASSES, tape.waiting + LOOK_EVERY)
  for (const leaf of leaves) {
    const grad = tape.grads.get(leaf)
    if (grad) settle(tape, leaf, hooked(tape, leaf, grad))
  }
  for (const grad of tape.grads.values()) grad.dispose()
  tape.grads = new Map()
}

/** Before anything is written: whether the graph of the entry at `start` would read what is no longer there. */
function checkChanges(entries: Entry[], start: number): void {
  const graph = new Set([entries[start]!.output])
  for (const { name, inputs, output, tables, since } of entries.slice(0, start + 1).reverse()) {
    if (!graph.has(output)) continue
    for (const input of inputs) {
      expectUnchanged(name, input, since)
      graph.add(input)
    }
    for (const table of tables) expectUnchanged(name, table, since)
  }
}

/** Drops what is recorded and not consumed: a step that never reaches `backward()`, or that an error has ended, ends with it. */
export function clearTape(gpu: Gpu): void {
  expectGpu('clearTape: gpu', gpu)
  const tape = tapeOf(gpu)
  for (const entry of tape.entries) release(tape, entry)
  for (const grad of tape.grads.values()) grad.dispose()
  tape.entries = []
  tape.grads = new Map()
  tape.lookAt = PASSES
}

function release(tape: Tape, { output, saved }: Entry): void {
  if (output.growth & WAITS) tape.waiting--
  output.growth &= ~WAITS
  for (const tensor of saved) if (!tensor.kept) tensor.dispose()
  if (!output.kept) output.dispose()
}

/** Adds a gradient to what a parameter keeps, or begins with it. */
function keepIn({ view, accumulate }: GradTarget, { gpu, size: n, bytes }: Tensor, grad: Tensor): void {
  if (accumulate) addInto(gpu, { x: grad.view, into: view, n })
  else gpu.copy(grad.view, view, bytes)
  grad.dispose()
}

function addGrad(tape: Tape, input: Tensor, grad: Tensor): void {
  if (!input.requiresGrad) {
    grad.dispose()
    return
  }
  if (grad.dtype !== input.dtype)
    throw new KernelgradError(`a gradient is ${grad.dtype}, the tensor it belongs to is ${input.dtype}`)
  const { size: n, storage } = input
  if (isHolder(input)) {
    keepIn(input.gradTarget(), input, grad)
    return
  }
  const known = tape.grads.get(input)
  if (!known) tape.grads.set(input, grad)
  else if (known.shared) {
    const sum = empty(input.gpu, input.shape, input.dtype)
    add(input.gpu, { a: known.view, b: grad.view, out: sum.view, n, storage })
    tape.grads.set(input, sum)
    known.dispose()
    grad.dispose()
  } else {
    addInto(input.gpu, { x: grad.view, into: known.view, n, storage })
    grad.dispose()
  }
}

/** A complete gradient after the hooks of its tensor. */
function hooked(tape: Tape, tensor: Tensor, grad: Tensor): Tensor {
  if (!isHooked(tensor)) return grad
  const after = noGrad(() => afterHooks(tensor, grad, shape => empty(tensor.gpu, shape)))
  tape.grads.set(tensor, after)
  return after
}

/**
 * Moves a leaf's gradient from the tape to where it keeps it: a parameter in its own memory, another tensor in its `grad`, which
 * lives as long as the leaf, whatever scope this is.
 */
function settle(tape: Tape, leaf: Tensor, grad: Tensor): void {
  tape.grads.delete(leaf)
  if ('gradTarget' in leaf) {
    keepIn((leaf as Tensor & GradHolder).gradTarget(), leaf, grad)
    return
  }
  if (leaf.grad) {
    addInto(leaf.gpu, { x: grad.view, into: leaf.grad.view, n: leaf.size, storage: leaf.storage })
    grad.dispose()
  } else if (grad.shared || grad.base) {
    // A scope frees the other's memory; the leaf outlives it.
    leaf.grad = empty(leaf.gpu, leaf.shape, leaf.dtype)
    leaf.gpu.copy(grad.view, leaf.grad.view, leaf.bytes)
    grad.dispose()
  } else {
    leaf.grad = grad
  }
  untrack(leaf.grad)
}
