import { cast } from '../../src/kernels/cast.ts'
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

/** The same with every operand f16, or, for the gradient of a weight, its result float32. */
function halfRow(use: string, layout: MatmulLayout, M: number, N: number, K: number): Row {
  const c = layout === 'TN' ? 'f32' : 'f16'
  const words = (M * N) / (c === 'f16' ? 2 : 1)
  return {
    name: `matmul.${layout} f16`,
    shape: `${use} ${M}x${N}x${K}`,
    flops: 2 * M * N * K,
    bytes: 2 * (M * K + K * N) + 4 * words,
    setup(gpu) {
      const work = new Workspace(gpu)
      const halves = (n: number) => {
        const [values, view] = [work.floats(n), work.empty(n / 2)]
        cast(gpu, { x: values, y: view, n, to: 'f16' })
        return view
      }
      const [a, b, out] = [halves(M * K), halves(K * N), work.empty(words)]
      const stored = { a: 'f16', b: 'f16', c } as const
      return work.job(() => matmul(gpu, { a, b, c: out, M, N, K, layout, stored }), { view: out, n: words })
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
    halfRow('ffn 1', 'NT', T, F, H),
    halfRow('ffn 1 dx', 'NN', T, H, F),
    halfRow('ffn 1 dW', 'TN', F, H, T),
  ]
}
