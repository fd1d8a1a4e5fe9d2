// A custom model in one screen: a two-layer network learns whether a point lies inside the unit circle.
import { AdamW, crossEntropy, nn, openGpu, scope, tensor } from 'kernelgrad'

/** Trains for `steps` steps; returns the first and the last loss. */
export async function quickstart(steps = 200): Promise<[first: number, last: number]> {
  const gpu = await openGpu()
  const model = new nn.Sequential([new nn.Linear(2, 32), new nn.ReLU(), new nn.Linear(32, 2)])
  model.to(gpu, { seed: 1 })
  const optimizer = new AdamW(gpu, [{ params: model.parameters() }], { lr: 1e-2 })
  const losses: Promise<number>[] = []
  for (let step = 0; step < steps; step++) {
    const points = Float32Array.from({ length: 128 }, (_, i) => 1.5 * Math.sin(12.9 * (step * 128 + i)))
    const labels = Uint32Array.from({ length: 64 }, (_, i) =>
      Number(Math.hypot(points[2 * i]!, points[2 * i + 1]!) < 1),
    )
    // What a step makes is freed at its end; the loss's value is on its way by then.
    scope(() => {
      const loss = crossEntropy(model.forward(tensor(gpu, points, [64, 2])), tensor(gpu, labels))
      if (step === 0 || step === steps - 1) losses.push(loss.item())
      loss.backward()
    })
    optimizer.step({ maxGradNorm: 1 })
    optimizer.zeroGrad()
  }
  const [first, last] = await Promise.all(losses)
  console.log(`${model}\nloss ${first!.toFixed(3)} at first, ${last!.toFixed(3)} after ${steps} steps`)
  optimizer.dispose()
  model.free()
  gpu.close()
  return [first!, last!]
}

if (process.argv[1]?.endsWith('quickstart.js')) await quickstart()
