// A feed-forward block with the gated unit learns which points lie in the unit circle.
import { AdamW, crossEntropy, nn, scope, tensor } from 'kernelgrad'
import { uniform } from 'kernelgrad/testing'
import { swiglu } from './swiglu.js'

/** y = down(swiglu(gate(x), up(x))), as in LLaMA's feed-forward. */
export class GatedNetwork extends nn.Module {
  constructor(inFeatures, hidden, outFeatures) {
    super()
    this.gate = new nn.Linear(inFeatures, hidden)
    this.up = new nn.Linear(inFeatures, hidden)
    this.down = new nn.Linear(hidden, outFeatures)
  }

  forward(x) {
    return this.down.forward(swiglu(this.gate.forward(x), this.up.forward(x)))
  }
}

/** Trains on fresh points every step; returns the loss of each. */
export async function train(gpu, { steps = 80, batch = 65 } = {}) {
  const model = new GatedNetwork(2, 30, 2).to(gpu, { seed: 3 })
  const optimizer = new AdamW(gpu, [{ params: model.parameters() }], { lr: 1e-2 })
  const losses = []
  for (let step = 0; step < steps; step++) {
    const points = uniform(batch * 2, step, { low: -1.5, high: 1.5 })
    const labels = Uint32Array.from({ length: batch }, (_, i) =>
      Number(Math.hypot(points[2 * i], points[2 * i + 1]) < 1),
    )
    scope(() => {
      const loss = crossEntropy(model.forward(tensor(gpu, points, [batch, 2])), tensor(gpu, labels))
      losses.push(loss.item())
      loss.backward()
    })
    optimizer.step()
    optimizer.zeroGrad()
  }
  const values = await Promise.all(losses)
  optimizer.dispose()
  model.free()
  return values
}
