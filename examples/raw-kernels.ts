// Kernels without autograd: logistic regression under the focal loss of Lin et al. 2017 (https://arxiv.org/abs/1708.02002), whose
// value and derivative are one kernel written here; the matrix products around it are the library’s launchers.
import { defineKernel, type Gpu, openGpu, type View } from 'kernelgrad/gpu'
import { add, matmul, scale, sum } from 'kernelgrad/kernels'

const focal = defineKernel({
  name: 'focal',
  entry: 'focal',
  params: { n: 'u32', gamma: 'f32' },
  bindings: ['read', 'read', 'write', 'write'],
  // loss = -(1 - q)^gamma log q, q the probability of the label; dlogit is its derivative over n.
  wgsl: `
const WG: u32 = 64;
struct Params { n: u32, gamma: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;
@compute @workgroup_size(WG)
fn focal(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = invocation_index(wid, count, local, WG);
  if (i >= params.n) { return; }
  let side = select(-1.0, 1.0, labels[i] == 1u);
  let z = side * logits[i];
  let log_q = min(z, 0.0) - log(1.0 + exp(-abs(z)));
  let q = exp(log_q);
  let weight = pow(1.0 - q, params.gamma);
  losses[i] = -weight * log_q / f32(params.n);
  dlogits[i] = side * weight * (params.gamma * q * log_q - (1.0 - q)) / f32(params.n);
}
`,
})

/** The mean loss [1] of logits [n, 1], and its gradient into `dlogits`. */
function focalLoss(gpu: Gpu, { logits, labels, loss, dlogits, n, gamma }: FocalOptions): void {
  const losses = gpu.acquire(n * 4)
  gpu.launch(focal, { n, gamma }, [logits, labels, losses, dlogits], Math.ceil(n / 64))
  sum(gpu, { x: losses, out: loss, n })
  gpu.release(losses) // queue order: it is handed out again only to later launches
}

interface FocalOptions {
  logits: View
  labels: View
  loss: View
  dlogits: View
  n: number
  gamma: number
}

/** One evaluation of loss and gradients, of rows [n, features] and weights [features]. */
export function lossAndGradient(gpu: Gpu, options: Step): void {
  const { rows, labels, weights, loss, dweights, n, features, gamma } = options
  const [logits, dlogits] = [gpu.acquire(n * 4), gpu.acquire(n * 4)]
  matmul(gpu, { a: rows, b: weights, c: logits, M: n, N: 1, K: features, layout: 'NT' })
  focalLoss(gpu, { logits, labels, loss, dlogits, n, gamma })
  matmul(gpu, { a: dlogits, b: rows, c: dweights, M: 1, N: features, K: n, layout: 'TN' })
  gpu.release(logits)
  gpu.release(dlogits)
}

interface Step {
  rows: View
  labels: View
  weights: View
  loss: View
  dweights: View
  n: number
  features: number
  gamma: number
}

/** Gradient descent; returns the loss before each step, and the weights. */
export async function rawKernels({ steps = 60, n = 257, features = 9, gamma = 2, lr = 4 } = {}) {
  const gpu = await openGpu()
  const wave = (i: number) => Math.sin(12.9898 * i) // any numbers will do
  const values = Float32Array.from({ length: n * features }, (_, i) => wave(i))
  const truth = Array.from({ length: features }, (_, c) => wave(c + 0.5))
  const classes = Uint32Array.from({ length: n }, (_, i) =>
    Number(truth.reduce((dot, w, c) => dot + w * values[i * features + c]!, 0) > 0),
  )
  const [rows, labels] = [gpu.from(values), gpu.from(classes)]
  let weights = gpu.from(new Float32Array(features))
  const losses: Promise<Float32Array>[] = []
  for (let step = 0; step < steps; step++) {
    const [loss, dweights, change, next] = [1, features, features, features].map(n => gpu.acquire(n * 4))
    lossAndGradient(gpu, { rows, labels, weights, loss: loss!, dweights: dweights!, n, features, gamma })
    scale(gpu, { x: dweights!, y: change!, factor: -lr, n: features })
    add(gpu, { a: weights, b: change!, out: next!, n: features })
    losses.push(gpu.readFloats({ ...loss!, size: 4 }))
    for (const view of [loss, dweights, change, weights]) gpu.release(view!)
    weights = next!
  }
  const read = (await Promise.all(losses)).map(values => values[0]!)
  const learned = await gpu.readFloats({ ...weights, size: features * 4 })
  console.log(`focal loss ${read[0]!.toFixed(4)} at first, ${read.at(-1)!.toFixed(4)} after ${steps} steps`)
  gpu.close()
  return { losses: read, weights: learned, rows: values, labels: classes }
}

if (process.argv[1]?.endsWith('raw-kernels.js')) await rawKernels()
