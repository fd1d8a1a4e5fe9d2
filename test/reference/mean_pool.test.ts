import { test } from 'uvu'
import { meanPool, meanPoolBackward } from '../../src/reference/index.ts'
import { checkGradient, close, dot, random } from './compare.ts'
import { golden } from './golden.ts'

const ops = golden('ops')

ops.test('mean_pool agrees with PyTorch, an empty row included', () => {
  const [B, S, H] = ops.shape('mean_pool.x') as [number, number, number]
  const cuSeqlens = Array.from({ length: B + 1 }, (_, b) => b * S)
  const given = { keyMask: ops.read('mean_pool.mask'), cuSeqlens, B, H }
  close(meanPool({ x: ops.read('mean_pool.x'), ...given }), ops.read('mean_pool.y'), 2e-7, 'y')
  const dx = meanPoolBackward({ dy: ops.read('mean_pool.dy'), ...given, T: B * S })
  close(dx, ops.read('mean_pool.dx'), 2e-7, 'dx')
})

test('backward against differences: holes, a row without kept tokens, a row without tokens', () => {
  const [B, T, H] = [4, 8, 3]
  const given = { keyMask: [1, 0, 1, 0, 0, 1, 1, 0], cuSeqlens: [0, 3, 5, 5, 8], B, H }
  const [x, dy] = [random(T * H), random(B * H)]
  checkGradient('dx', x => dot(meanPool({ x, ...given }), dy), x, meanPoolBackward({ dy, ...given, T }))
})

test.run()
