import { test } from 'uvu'
import { lstm, lstmBackward } from '../../src/kernels/lstm.ts'
import * as reference from '../../src/reference/index.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpu = await openTestGpu()

for (const [cuSeqlens, H, scale] of [
  [[0, 1], 1, 1],
  [[0, 5, 5, 6, 13], 7, 1],
  [[0, 3, 20], 65, 0.3],
  [[0, 4, 9], 5, 40],
  [[0, ...Array.from({ length: 70 }, (_, b) => 2 * b + 2)], 3, 1],
] as [number[], number, number][])
  for (const reverse of [false, true]) {
    const [B, T] = [cuSeqlens.length - 1, cuSeqlens.at(-1)!]
    test(`an LSTM ${reverse ? 'backwards ' : ''}over ${T} tokens in ${B} rows, states of ${H}, gates to ${scale}, agrees with the oracle`, async () => {
      const [gatesIn, weight, bias] = [seeded(4 * T * H, T, scale), seeded(4 * H * H, H), seeded(4 * H, 3)]
      const views = { weight: gpu.from(weight), cuSeqlens: gpu.from(Uint32Array.from(cuSeqlens)) }
      const sizes = { B, T, H, reverse }
      const [h, gates, cell, before] = [T * H, 4 * T * H, T * H, T * H].map(n => guarded(gpu, n)) as [
        ReturnType<typeof guarded>,
        ReturnType<typeof guarded>,
        ReturnType<typeof guarded>,
        ReturnType<typeof guarded>,
      ]
      lstm(gpu, {
        ...{ ...views, gatesIn: gpu.from(gatesIn), bias: gpu.from(bias), ...sizes },
        ...{ h: h.view, gates: gates.view, cell: cell.view, before: before.view },
      })
      const made = reference.lstm({ gatesIn, weight, bias, cuSeqlens, H, reverse })
      for (const [label, one] of Object.entries({ h, gates, cell, before }))
        expectClose(await gpu.readFloats(one.view), made[label as 'h'], 4e-6, { label })
      const dh = seeded(T * H, 5)
      const [dgates, carry] = [guarded(gpu, 4 * T * H), guarded(gpu, B * H)]
      const read = { ...views, gates: gpu.from(Float32Array.from(made.gates)), dh: gpu.from(dh) }
      lstmBackward(gpu, {
        ...{ ...read, cell: gpu.from(Float32Array.from(made.cell)), ...sizes },
        ...{ dgates: dgates.view, carry: carry.view },
      })
      const wanted = reference.lstmBackward({ gatesIn, weight, bias, cuSeqlens, H, reverse, ...made, dh })
      expectClose(await gpu.readFloats(dgates.view), wanted.dgates, 4e-6, { label: 'dgates' })
      for (const one of [h, gates, cell, before, dgates, carry]) await one.checkNeighbours()
    })
  }

test.after(() => gpu.close())
test.run()
