import { loosen, tighten } from './growth.ts'
import { expectNoPromise, expectSynchronous, readsBegun } from './synchronous.ts'
import type { Tensor } from './tensor.ts'

const scopes: Set<Tensor>[] = []

/** Notes a tensor in the innermost scope. */
export function track(tensor: Tensor): void {
  const innermost = scopes.at(-1)
  if (innermost) innermost.add(tensor)
  else loosen(tensor)
}

/** Forgets a tensor that freed itself. */
export function untrack(tensor: Tensor): void {
  tighten(tensor)
  for (let i = scopes.length - 1; i >= 0; i--) if (scopes[i]!.delete(tensor)) return
}

/**
 * Runs `body` and frees every tensor it made, except those it returns (a tensor, or an array or plain object of them),
 * which pass to the scope around. Recording work on the device is synchronous, so `body` is too.
 *
 * @example
 * ```ts
 * import { matmul, scope, tensor } from 'kernelgrad'
 *
 * const product = scope(() => matmul(tensor(gpu, [1, 2], [1, 2]), tensor(gpu, [3, 4], [2, 1])))
 * console.log(await product.item()) // 11
 * product.dispose()
 * ```
 *
 * @throws ArgumentError for an async function, which is not called, or one that returns a promise other than of `read()` or `item()`
 */
export function scope<T>(body: () => T): T {
  expectSynchronous('scope', body)
  const reads = readsBegun()
  const made = new Set<Tensor>()
  /** What returned tensors share the memory of: it stays theirs. */
  const bases = new Set<Tensor>()
  scopes.push(made)
  let result: T
  try {
    result = body()
    expectNoPromise('scope', result, reads)
    for (const tensor of returned(result)) {
      if (made.delete(tensor)) scopes.at(-2)?.add(tensor)
      for (let base = tensor.base; base; base = base.base) bases.add(base)
    }
  } finally {
    scopes.pop()
    for (const tensor of [...made]) {
      // What is on the tape is let go by the tape.
      if (!bases.has(tensor)) tensor.free()
      else if (!tensor.requiresGrad) tensor.dispose()
    }
  }
  return result
}

function* returned(value: unknown): Generator<Tensor> {
  if (value === null || typeof value !== 'object') return
  if ('view' in value && 'dispose' in value) yield value as Tensor
  else if (Array.isArray(value)) for (const item of value) yield* returned(item)
  else if (Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) yield* returned(item)
}
