// Single operators, forward and backward, through the tape.
import { basename, join } from 'node:path'
import {
  attention,
  backward,
  crossEntropy,
  embedding,
  gelu,
  layerNorm,
  meanPool,
  scope,
  TableParameter,
  type Tensor,
  tensor,
  writeParameter,
} from '../../src/autograd/index.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { need, readTensors, type Tensors } from './frozen.ts'
import { Check, type Finding } from './report.ts'

const floats = (data: ArrayLike<number>) => Float32Array.from(data)
const uints = (data: ArrayLike<number>) => Uint32Array.from(data)

interface OpCase {
  gpu: Gpu
  /** A tensor of the case. */
  get: (name: string) => { shape: number[]; data: ArrayLike<number> }
  /** A tensor of the case on the device, wanting a gradient. */
  leaf: (name: string) => Tensor
}

/** What an operator computed, by the names the file has for it. */
type Results = Record<string, Promise<ArrayLike<number>>>

function run(output: Tensor, gpu: Gpu, dy?: { data: ArrayLike<number> }): Promise<Float32Array> {
  const values = output.keep().read()
  backward(output, dy ? { seed: tensor(gpu, floats(dy.data), output.shape) } : {})
  return values
}

const OPS: Record<string, (c: OpCase) => Results> = {
  layernorm({ gpu, get, leaf }) {
    const [x, weight, bias] = [leaf('x'), leaf('weight'), leaf('bias')]
    const y = run(layerNorm(x, weight, bias, { eps: 1e-12 }), gpu, get('dy'))
    return { y, dx: x.grad!.read(), dweight: weight.grad!.read(), dbias: bias.grad!.read() }
  },
  gelu({ gpu, get, leaf }) {
    const x = leaf('x')
    const y = run(gelu(x), gpu, { data: new Float32Array(get('x').data.length).fill(1) })
    return { y, dx: x.grad!.read() }
  },
  cross_entropy({ gpu, get, leaf }) {
    const logits = leaf('logits')
    const loss = run(crossEntropy(logits, tensor(gpu, uints(get('labels').data))), gpu)
    return { loss, dlogits: logits.grad!.read() }
  },
  attention({ gpu, get }) {
    const { shape } = get('q')
    const [T, A, D] = shape as [number, number, number]
    const H = A * D
    const packed = new Float32Array(T * 3 * H)
    for (const [part, name] of ['q', 'k', 'v'].entries()) {
      const { data } = get(name)
      for (let t = 0; t < T; t++)
        for (let h = 0; h < H; h++) packed[(t * 3 + part) * H + h] = data[t * H + h]!
    }
    const qkv = tensor(gpu, packed, [T, 3 * H], { requiresGrad: true })
    const cuSeqlens = uints(get('cu_seqlens').data)
    const rowIds = new Uint32Array(T)
    for (let b = 0; b + 1 < cuSeqlens.length; b++) rowIds.fill(b, cuSeqlens[b], cuSeqlens[b + 1])
    const rows = {
      keyMask: tensor(gpu, uints(get('key_mask').data)),
      cuSeqlens: tensor(gpu, cuSeqlens),
      rowIds: tensor(gpu, rowIds),
    }
    const y = run(attention(qkv, rows, A), gpu, get('dy'))
    const gradient = qkv.grad!.read()
    const part = async (index: number) => {
      const all = await gradient
      const out = new Float32Array(T * H)
      for (let t = 0; t < T; t++) out.set(all.subarray((t * 3 + index) * H, (t * 3 + index + 1) * H), t * H)
      return out
    }
    return { y, dq: part(0), dk: part(1), dv: part(2) }
  },
  embedding({ gpu, get }) {
    const { shape, data } = get('table')
    const table = new TableParameter(shape as [number, number], { kind: 'constant', value: 0 }, 49)
    table.allocate(gpu)
    writeParameter(table, floats(data))
    const y = run(embedding(table, uints(get('ids').data)), gpu, get('dy'))
    const dtable = table.readGrad()
    return { y, dtable: dtable.finally(() => table.free()) }
  },
  mean_pool({ gpu, get }) {
    const [B, S, H] = get('x').shape as [number, number, number]
    const x = tensor(gpu, floats(get('x').data), [B * S, H], { requiresGrad: true })
    const rows = {
      keyMask: tensor(gpu, uints(get('mask').data)),
      cuSeqlens: tensor(
        gpu,
        Uint32Array.from({ length: B + 1 }, (_, b) => b * S),
      ),
      rowIds: tensor(
        gpu,
        Uint32Array.from({ length: B * S }, (_, t) => Math.floor(t / S)),
      ),
    }
    return { y: run(meanPool(x, rows), gpu, get('dy')), dx: x.grad!.read() }
  },
}

export async function checkOpsCase(
  gpu: Gpu,
  folder: string,
  cases: Record<string, string>,
): Promise<Finding[]> {
  const file = basename(folder)
  const frozen: Tensors = await readTensors(join(folder, 'ops.safetensors'))
  const check = new Check(`${file}/ops`, 1e-5)
  const geluCheck = new Check(`${file}/gelu (absolute)`, 1e-6)
  const unknown: string[] = []
  for (const name of Object.keys(cases)) {
    const operator = Object.keys(OPS).find(op => name === op || name.startsWith(`${op}_`))
    if (!operator) {
      unknown.push(name)
      continue
    }
    const get = (key: string) => need(frozen, `${name}.${key}`)
    const leaf = (key: string) => tensor(gpu, floats(get(key).data), get(key).shape, { requiresGrad: true })
    const results = scope(() => OPS[operator]!({ gpu, get, leaf }))
    for (const [key, values] of Object.entries(results)) {
      if (operator === 'gelu') geluCheck.tensor(`${name}.${key}`, await values, get(key).data, 1)
      else check.tensor(`${name}.${key}`, await values, get(key).data)
    }
  }
  const missing = unknown.map(name => ({
    file: `${file}/${name}`,
    worst: 'no such operator',
    error: Infinity,
    bound: 0,
  }))
  return [...check.done(), ...geluCheck.done(), ...missing]
}
