import { geluBackward, gelu as geluKernel } from '../../kernels/gelu.ts'
import { reluBackward, relu as reluKernel } from '../../kernels/relu.ts'
import { softmaxBackward, softmax as softmaxKernel } from '../../kernels/softmax.ts'
import { op } from '../tape.ts'
import type { Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { rowsAndColumns } from './shapes.ts'

/** GELU in its exact erf form: `torch.nn.functional.gelu`. */
export function gelu(x: Tensor): Tensor {
  return op('gelu', x.gpu, [x], ({ gpu, empty }) => {
    const y = empty(x.shape, x.dtype)
    geluKernel(gpu, { x: x.view, y: y.view, n: x.size, storage: x.storage })
    return {
      output: y,
      backward: dy => {
        const dx = empty(x.shape, x.dtype)
        geluBackward(gpu, { x: x.view, dy: dy.view, dx: dx.view, n: x.size, storage: x.storage })
        return [dx]
      },
    }
  })
}

/** max(x, 0): `torch.nn.functional.relu`. */
export function relu(x: Tensor): Tensor {
  return op('relu', x.gpu, [x], ({ gpu, empty }) => {
    const y = empty(x.shape, x.dtype)
    reluKernel(gpu, { x: x.view, y: y.view, n: x.size, storage: x.storage })
    return {
      output: y,
      backward: dy => {
        const dx = empty(x.shape, x.dtype)
        reluBackward(gpu, { y: y.view, dy: dy.view, dx: dx.view, n: x.size, storage: x.storage })
        return [dx]
      },
    }
  })
}

/** Softmax over the last dimension, float32: `torch.nn.functional.softmax(x, -1)`. */
export function softmax(input: Tensor): Tensor {
  const x = cast(input, 'f32')
  const [rows, C] = rowsAndColumns(x)
  return op('softmax', x.gpu, [x], ({ gpu, empty }) => {
    const y = empty(x.shape)
    softmaxKernel(gpu, { x: x.view, y: y.view, rows, C })
    return {
      output: y,
      backward: dy => {
        const dx = empty(x.shape)
        softmaxBackward(gpu, { y: y.view, dy: dy.view, dx: dx.view, rows, C })
        return [dx]
      },
    }
  })
}
