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

/** What an operation's steps work with, under its names: see `OpForward` and `OpBackward`. */
interface Steps {
  [name: string]: unknown
  /** Of the backward step. */
  into?: Into
}

/** How an operation's calls come to their gradients. */
export interface Gradients {
  /** For a call's forward step: its tensors under their names, in the order of the inputs. */
  steps(tensors: readonly (Tensor | undefined)[]): Steps
  /** For its backward step: the result's gradient, and those of the inputs under their names. */
  begin(steps: Steps, tensors: readonly (Tensor | undefined)[], dout: Tensor): void
  /** What goes to the tape for each tensor given, in order: what was asked for, or `passed` by the step. */
  end(steps: Steps, passed?: Record<string, Tensor | undefined>): (Tensor | undefined)[]
}

/** `d<input>` and `into.<input>` are inherited from classes that are made here, once: every call would have the same. */
export function gradientsOf(name: string, inputs: readonly string[]): Gradients {
  class OwnSteps {
    [name: string]: unknown
    into?: Into
  }
  class Targets {
    [CALL]: Call
    constructor(tensors: readonly (Tensor | undefined)[]) {
      this[CALL] = { tensors, written: [] }
    }
  }
  const define = <T>(object: object, key: string, get: (this: T) => Tensor | GradTarget | undefined) =>
    Object.defineProperty(object, key, { get })
  for (const [i, input] of inputs.entries()) {
    define<Steps>(OwnSteps.prototype, `d${input}`, function () {
      if (!this.into) return undefined
      const { tensors, written } = this.into[CALL]
      const tensor = tensors[i]
      const known = written[i]
      if (!tensor || tensor.dtype === 'u32') return undefined
      if (known === 'gathered') throw new KernelgradError(`${name}: d${input} is written after into.${input}`)
      const grad = known ?? empty(tensor.gpu, tensor.shape, tensor.dtype)
      written[i] = grad
      return grad
    })
    define<Into>(Targets.prototype, input, function () {
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
    steps(tensors) {
      const steps = new OwnSteps()
      for (let i = 0; i < inputs.length; i++) steps[inputs[i]!] = tensors[i]
      return steps
    },
    begin(steps, tensors, dout) {
      const needs: Record<string, boolean> = {}
      for (let i = 0; i < inputs.length; i++) needs[inputs[i]!] = tensors[i]?.requiresGrad === true
      steps.dout = dout
      steps.needsInputGrad = needs
      steps.into = new Targets(tensors)
    },
    end(steps, passed) {
      const { tensors, written } = steps.into![CALL]
      const settled: (Tensor | undefined)[] = []
      for (let i = 0; i < tensors.length; i++) {
        const tensor = tensors[i]
        if (!tensor) continue
        const made = passed?.[inputs[i]!] ?? written[i]
        const grad = made === 'gathered' ? undefined : made
        const wanted = tensor.requiresGrad
        if (wanted && !made)
          throw new KernelgradError(`${name}: the backward step wrote no gradient of ${inputs[i]}`)
        if (!wanted && grad && !(passed && Object.values(passed).includes(grad))) grad.dispose()
        settled.push(wanted ? grad : undefined)
      }
      return settled
    },
  }
}
