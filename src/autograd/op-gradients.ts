// The gradients of an operation's inputs, as its backward step asks for them by name.
import { KernelgradError } from '../errors.ts'
import { type GradTarget, gradTarget } from './tape.ts'
import { empty, type Tensor } from './tensor.ts'

/** One call of the operation: its tensors, and what its backward step asked for of each. */
interface Call {
  tensors: readonly (Tensor | undefined)[]
  written: (Tensor | 'gathered' | undefined)[]
}
const CALL = Symbol()
interface Into {
  [CALL]: Call
}
interface Steps {
  into: Into
}

/** A value for each name, in order. */
export function byName<T>(names: readonly string[], value: (i: number) => T): Record<string, T> {
  const named: Record<string, T> = {}
  for (const [i, name] of names.entries()) named[name] = value(i)
  return named
}

/** How an operation's calls come to their gradients. */
export interface Gradients {
  /** What the backward step works with: `context`, the result's gradient, and those of the inputs under their names. */
  begin(context: object, tensors: readonly (Tensor | undefined)[], dout: Tensor): object
  /** What goes to the tape for each tensor given, in order: what was asked for, or `passed` by the step. */
  end(steps: object, passed?: Record<string, Tensor | undefined>): (Tensor | undefined)[]
}

/** `d<input>` and `into.<input>` are inherited from objects that are made here, once: every call would have the same. */
export function gradientsOf(name: string, inputs: readonly string[]): Gradients {
  const grads = {}
  const targets = {}
  const define = <T>(object: object, key: string, get: (this: T) => Tensor | GradTarget | undefined) =>
    Object.defineProperty(object, key, { get })
  for (const [i, input] of inputs.entries()) {
    define<Steps>(grads, `d${input}`, function () {
      const { tensors, written } = this.into[CALL]
      const tensor = tensors[i]
      const known = written[i]
      if (!tensor || tensor.dtype === 'u32') return undefined
      if (known === 'gathered') throw new KernelgradError(`${name}: d${input} is written after into.${input}`)
      const grad = known ?? empty(tensor.gpu, tensor.shape, tensor.dtype)
      written[i] = grad
      return grad
    })
    define<Into>(targets, input, function () {
      const { tensors, written } = this[CALL]
      const tensor = tensors[i]
      if (!tensor || tensor.dtype === 'u32') return undefined
      const why = written[i] ? 'it is written already' : tensor.requiresGrad ? '' : 'it is not needed'
      if (why) throw new KernelgradError(`${name}: into.${input} was asked for, and ${why}`)
      written[i] = 'gathered'
      return gradTarget(tensor)
    })
  }
  return {
    begin(context, tensors, dout) {
      const needsInputGrad = byName(inputs, i => tensors[i]?.requiresGrad === true)
      const into = Object.assign(Object.create(targets) as object, { [CALL]: { tensors, written: [] } })
      return Object.assign(Object.create(grads) as object, context, { dout, needsInputGrad, into })
    },
    end(steps, passed = {}) {
      const { tensors, written } = (steps as Steps).into[CALL]
      const handed = Object.values(passed)
      const settled: (Tensor | undefined)[] = []
      for (const [i, tensor] of tensors.entries()) {
        if (!tensor) continue
        const made = passed[inputs[i]!] ?? written[i]
        const grad = made === 'gathered' ? undefined : made
        if (tensor.requiresGrad && !made)
          throw new KernelgradError(`${name}: the backward step wrote no gradient of ${inputs[i]}`)
        if (!tensor.requiresGrad && grad && !handed.includes(grad)) grad.dispose()
        settled.push(tensor.requiresGrad ? grad : undefined)
      }
      return settled
    },
  }
}
