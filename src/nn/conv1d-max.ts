import { conv1dMax, DenseParameter, type Init, type Starts, type Tensor } from '../autograd/index.ts'
import { COUNT, expectNumber } from '../check.ts'
import { Module } from './module.ts'

/**
 * `torch.nn.Conv1d` over the tokens of packed texts, ReLU, and the maximum over each text: a CNN encoder has one for each width of its windows
 * (Kim 2014).
 *
 * @example
 * ```ts
 * import { nn, tensor } from 'kernelgrad'
 *
 * const windows = new nn.Conv1dMax(8, 5, 3).to(gpu, { seed: 1 })
 * const words = tensor(gpu, new Float32Array(6 * 8).fill(0.5), [6, 8]) // two texts, of 4 words and of 2
 * const y = windows.forward(words, Uint32Array.of(0, 4, 6)) // [2, 5], zeros for the text of 2
 * ```
 */
export class Conv1dMax extends Module {
  /** [out, in, kernel]. */
  readonly weight: DenseParameter
  /** [out]. */
  readonly bias: DenseParameter

  /** Both start from U(-1/sqrt(in kernel), 1/sqrt(in kernel)), as PyTorch's. `kernelSize` is how many tokens a window has. */
  constructor(inChannels: number, outChannels: number, kernelSize: number) {
    super()
    for (const [name, value] of Object.entries({ inChannels, outChannels, kernelSize }))
      expectNumber(`Conv1dMax: ${name}`, value, COUNT)
    const init: Init = { kind: 'uniform', bound: 1 / Math.sqrt(inChannels * kernelSize) }
    this.weight = new DenseParameter([outChannels, inChannels, kernelSize], init)
    this.bias = new DenseParameter([outChannels], init)
  }

  /** x [T, in] to [B, out]; text b is the tokens starts[b] to starts[b + 1] - 1. Of fewer tokens than a window: zeros. */
  forward(x: Tensor, starts: Starts): Tensor {
    return conv1dMax(x, this.weight, this.bias, starts)
  }

  protected override extraRepr(): string {
    const [out, inChannels, kernel] = this.weight.shape
    return `${inChannels}, ${out}, kernel_size=(${kernel},)`
  }
}
