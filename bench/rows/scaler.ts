import { SCALER_BYTES, scalerUpdate } from '../../src/kernels/scaler.ts'
import { adamw } from '../../src/optim/index.ts'
import { type Row, Workspace } from '../row.ts'
import type { Size } from '../size.ts'

const STEP = { lr: 1e-4, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 }
const GROUPS = 2

/** The end of a step with a scaled loss; one invocation, the same at every size. */
export function scalerRows(_: Size): Row[] {
  const floats = 1 + 1 + SCALER_BYTES / 4 + 8 * GROUPS
  return [
    {
      name: 'scaler.update',
      shape: `${GROUPS} groups`,
      flops: 50 * GROUPS,
      bytes: 2 * 4 * floats,
      setup(gpu) {
        const work = new Workspace(gpu)
        const [norm, coefficient] = [work.put(Float32Array.of(1000)), work.empty(1)]
        const state = work.put(Float32Array.of(1, 0, 0, 0))
        const history = work.put(
          Float32Array.from(Array.from({ length: GROUPS }, () => adamw.pending(STEP)).flat()),
        )
        const settings = { growthFactor: 2, backoffFactor: 0.5, growthInterval: 2000, maxNorm: 1 }
        const views = { norm, coefficient, state, history }
        const job = () =>
          scalerUpdate(gpu, { ...adamw, states: 2 }, { ...views, step: 0, groups: GROUPS, ...settings })
        return work.job(job, { view: norm, n: 1 }, { view: coefficient, n: 1 })
      },
    },
  ]
}
