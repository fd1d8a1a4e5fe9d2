// Functions that a backward pass calls with a gradient once it is complete: to look at it, or to put another in its place.
import { expectFunction, shown } from '../check.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import type { Tensor } from './tensor.ts'

/** Gets a gradient and returns what is to take its place, or nothing; it changes none in place. */
export type GradHook<G = Tensor> = (grad: G) => Tensor | undefined

/** Takes a hook away again: `torch.utils.hooks.RemovableHandle`. */
export interface RemovableHandle {
  /** The hook is not called again. */
  remove(): void
}

/** The hooks of tensors, and of embedding tables, in the order they were registered. */
class Hooks<T extends object, G> {
  readonly #hooks = new WeakMap<T, Set<GradHook<G>>>()

  add(owner: T, hook: GradHook<G>): RemovableHandle {
    expectFunction('registerHook: hook', hook)
    const known = this.#hooks.get(owner) ?? new Set()
    this.#hooks.set(owner, known)
    const own: GradHook<G> = grad => hook(grad) // one function may be registered twice
    known.add(own)
    return { remove: () => void known.delete(own) }
  }

  of(owner: T): Iterable<GradHook<G>> {
    return this.#hooks.get(owner) ?? []
  }

  has(owner: T): boolean {
    return (this.#hooks.get(owner)?.size ?? 0) > 0
  }
}

export const tensorHooks = new Hooks<Tensor, Tensor>()
export const tableHooks = new Hooks<object, { rows: Uint32Array; values: Tensor }>()

/** Parameters that lie side by side are one tensor to the tape; their hooks are their own. */
type Packed = Tensor & { parts?: readonly (Tensor & { parentOffset: number })[] }

/** Whether someone waits for a tensor's gradient, or for that of a part of it. */
export const isHooked = (tensor: Packed): boolean =>
  tensorHooks.has(tensor) || (tensor.parts?.some(part => tensorHooks.has(part)) ?? false)

/** A hook's answer takes a gradient's place. */
export function replace(grad: Tensor, answer: Tensor | undefined): Tensor {
  if (answer === undefined || answer === null || answer === grad) return grad
  if (typeof answer !== 'object' || !('dtype' in answer))
    throw new ArgumentError(`a hook returned ${shown(answer)}, expected a tensor, or nothing`)
  if (answer.shape.join() !== grad.shape.join() || answer.dtype !== grad.dtype) {
    throw new ShapeError(
      `a hook returned ${answer.dtype} [${answer.shape}] for a gradient that is ${grad.dtype} [${grad.shape}]`,
    )
  }
  grad.dispose()
  return answer.retain() // the tape holds it now, beside whoever made it
}

/** A gradient in memory of its own. */
export function unshared(grad: Tensor, copyOf: (shape: Tensor['shape']) => Tensor): Tensor {
  if (!grad.shared) return grad
  const own = copyOf(grad.shape)
  grad.gpu.copy(grad.view, own.view, grad.bytes)
  grad.dispose()
  return own
}

/** The gradient of `tensor` after its hooks; `copyOf` makes memory for what a part's hooks are given. */
export function afterHooks(tensor: Packed, grad: Tensor, copyOf: (shape: Tensor['shape']) => Tensor): Tensor {
  let current = grad
  for (const hook of tensorHooks.of(tensor)) current = replace(current, hook(current))
  const parts = (tensor.parts ?? []).filter(part => tensorHooks.has(part))
  if (parts.length) current = unshared(current, copyOf)
  for (const part of parts) {
    const { buffer, offset } = current.view
    const place = { buffer, offset: offset + part.parentOffset * 4, size: part.bytes }
    let own = copyOf(part.shape)
    grad.gpu.copy(place, own.view, part.bytes)
    for (const hook of tensorHooks.of(part)) own = replace(own, hook(own))
    grad.gpu.copy(own.view, place, part.bytes)
    own.dispose()
  }
  return current
}
