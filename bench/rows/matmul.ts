import { type MatmulLayout, matmul } from '../../src/kernels/matmul.ts'
import { GOAL_SHAPES, GOAL_USE } from '../goals.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

function row(use: string, layout: MatmulLayout, M: number, N: number, K: number, biased = false): Row {
  return {
    name: `matmul.${layout}${biased ? '+bias' : ''}`,
    shape: `${use} ${M}x${N}x${K}`,
    flops: 2 * M * N * K + (biased ? M * N : 0),
    bytes: 4 * (M * K + K * N + M * N + (biased ? N : 0)),
    setup(gpu) {
      const work = new Workspace(gpu)
      const [a, b, c] = [work.floats(M * K), work.floats(K * N), work.empty(M * N)]
      const bias = biased ? work.floats(N) : undefined
      return work.job(() => matmul(gpu, { a, b, c, bias, M, N, K, layout }), { view: c, n: M * N })
    },
  }
}

/** Every product of a linear layer: forward NT with bias, gradient of its input NN, of its weight TN. M x N x K. */
export function matmulRows({ name, T, B, H, F, mlp }: Size): Row[] {
  const [wide, first] = mlp as [number, number]
  const layouts: MatmulLayout[] = ['NN', 'NT', 'TN']
  const goals = GOAL_SHAPES.flatMap(([M, N, K]) => layouts.map(layout => row(GOAL_USE, layout, M, N, K)))
  return [
    ...(name === 'full' ? goals : []),
    row('qkv', 'NT', T, 3 * H, H, true),
    row('ffn 1', 'NT', T, F, H, true),
    row('ffn 2', 'NT', T, H, F, true),
    row('mlp', 'NT', B, first, wide, true),
    row('head', 'NT', B, 2, mlp.at(-1)!, true),
    row('attention out', 'NT', T, H, H),
    row('ffn 1 dx', 'NN', T, H, F),
    row('ffn 2 dx', 'NN', T, F, H),
    row('mlp dx', 'NN', B, wide, first),
    row('ffn 1 dW', 'TN', F, H, T),
    row('qkv dW', 'TN', 3 * H, H, T),
    row('mlp dW', 'TN', first, wide, B),
  ]
}
