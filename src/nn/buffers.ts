// What a module carries from batch to batch and saves with its weights, and that nothing trains: torch's buffers.
import { DenseParameter } from '../autograd/index.ts'

/** Values on the device that are saved and not trained, whatever is unfrozen: `torch.nn.Buffer`. float32. */
export class Buffer extends DenseParameter {
  override get requiresGrad(): boolean {
    return false
  }

  override set requiresGrad(_: boolean) {}
}

/** A count that is saved, as an int64 without dimensions. It lives on the host: nothing on the device reads it. */
export class Counter {
  /** Zero when its module is given a device. */
  value = 0
  /** As in the file. */
  readonly shape: readonly number[] = []
}
