// The benchmark's work in jax-js: padded batches, one jitted function a training step. Arrays are counted by reference:
// a use consumes its operand, and `.ref` keeps it.
import { checkBindings, initial, inputOf, offerWebGpu, serve, wait } from './serve.mjs'

let jax
let np

async function open({ backend, adapter, threads }) {
  offerWebGpu(adapter, threads)
  jax = await import('@jax-js/jax')
  np = jax.numpy
  const ready = await wait(jax.init(backend))
  if (!ready.includes(backend)) throw new Error(`the backend ${backend} does not start`)
  jax.defaultDevice(backend)
  return `jax-js on ${backend}`
}

function layerNorm(x, weight, bias, eps) {
  const centered = x.ref.sub(np.mean(x, -1, { keepdims: true }))
  const variance = np.mean(np.square(centered.ref), -1, { keepdims: true })
  return centered
    .div(np.sqrt(variance.add(eps)))
    .mul(weight)
    .add(bias)
}
const gelu = x => jax.nn.gelu(x, { approximate: false })

/** The mean cross-entropy of a batch; consumes neither the weights nor the batch. */
function lossOf(work, w, batch) {
  const { dim: H, heads: A, layers } = work
  const get = name => w[name].ref
  const linear = (x, name) => np.matmul(x, get(`${name}.weight`).transpose()).add(get(`${name}.bias`))
  const norm = (x, name, eps) => layerNorm(x, get(`${name}.weight`), get(`${name}.bias`), eps)
  const [B, S] = batch.bias.shape
  // Inside jit the scatter behind the gradient of take refuses operands that are views (reshaped, sliced): ids come flat, and
  // rows that are concatenated later are multiplied by a one first.
  const words = np.take(get('bert.embeddings.word_embeddings.weight'), batch.ids.ref, 0)
  const positions = get('bert.embeddings.position_embeddings.weight').slice([0, S])
  let x = words.add(np.tile(positions, [B, 1]))
  x = norm(x, 'bert.embeddings.LayerNorm', 1e-12)
  for (let i = 0; i < layers; i++) {
    const at = `bert.transformer.layer.${i}`
    const split = name => linear(x.ref, `${at}.attention.${name}`).reshape([B, S, A, H / A])
    const bias = batch.bias.ref.reshape([B, 1, 1, S])
    const mixed = jax.nn.dotProductAttention(split('q_lin'), split('k_lin'), split('v_lin'), { bias })
    const attended = linear(mixed.reshape([B * S, H]), `${at}.attention.out_lin`)
    x = norm(attended.add(x), `${at}.sa_layer_norm`, 1e-12)
    const fed = linear(gelu(linear(x.ref, `${at}.ffn.lin1`)), `${at}.ffn.lin2`)
    x = norm(fed.add(x), `${at}.output_layer_norm`, 1e-12)
  }
  const text = np.sum(x.reshape([B, S, H]).mul(batch.share.ref.reshape([B, S, 1])), 1)
  const rows = work.tables.map(({ name }) =>
    np
      .take(get(`categorical_embeddings.${name}_embedding.weight`), batch.categorical[name].ref, 0)
      .mul(batch.one.ref),
  )
  let y = np.concatenate([text, ...rows, ...work.numerical.map(name => batch.numerical[name].ref)], 1)
  for (const i of work.mlp.keys()) y = jax.nn.relu(norm(linear(y, `mlp.${3 * i}`), `mlp.${3 * i + 1}`, 1e-5))
  return np.sum(jax.nn.logSoftmax(linear(y, 'head')).mul(batch.labels.ref)).mul(-1 / B)
}

function batchOf(work, raw) {
  const int32 = values => np.array(Int32Array.from(values), { dtype: np.int32 })
  const columns = (values, make) => Object.fromEntries(Object.entries(values).map(([k, v]) => [k, make(v)]))
  const kept = raw.inputIds.map(row => row.map(id => Number(id !== work.pad)))
  const share = kept.map(row => row.map(k => k / row.reduce((sum, one) => sum + one, 0)))
  const floats = rows => np.array(Float32Array.from(rows.flat())).reshape([rows.length, rows[0].length])
  return {
    one: np.array(1),
    ids: int32(raw.inputIds.flat()),
    /** What each position adds to a score, and its share of the mean over the row. */
    bias: floats(kept.map(row => row.map(k => (k - 1) * 1e9))),
    share: floats(share),
    categorical: columns(raw.categorical, int32),
    numerical: columns(raw.numerical, v => floats(v.map(value => [value]))),
    labels: floats(
      raw.labels.map(label => Array.from({ length: work.classes }, (_, c) => Number(c === label))),
    ),
  }
}

async function train(work) {
  if (jax.defaultDevice() === 'webgpu') checkBindings(work, jax.getWebGPUDevice().limits)
  const [beta1, beta2, eps] = [0.9, 0.999, 1e-8]
  const names = work.parameters.map(({ name }) => name)
  const each = make => Object.fromEntries(work.parameters.map(parameter => [parameter.name, make(parameter)]))
  let state = {
    w: each(parameter => np.array(initial(work, parameter)).reshape(parameter.shape)),
    m: each(({ shape }) => np.zeros(shape)),
    v: each(({ shape }) => np.zeros(shape)),
  }
  /** `corrections`: 1 - beta1^t and 1 - beta2^t. */
  const step = jax.jit(({ w, m, v }, batch, corrections) => {
    const [loss, grads] = jax.valueAndGrad(w => lossOf(work, w, batch))(w)
    const squares = names.map(name => np.sum(np.square(grads[name].ref)))
    const norm = np.sqrt(squares.reduce((a, b) => a.add(b)))
    const scale = np.minimum(np.array(work.clip).div(norm.add(1e-6)), 1)
    const next = { w: {}, m: {}, v: {} }
    for (const name of names) {
      const lr = work.lr[name.includes('bert.') ? 0 : 1]
      const g = grads[name].mul(scale.ref)
      const m1 = m[name].mul(beta1).add(g.ref.mul(1 - beta1))
      const v1 = v[name].mul(beta2).add(np.square(g).mul(1 - beta2))
      const root = np.sqrt(v1.ref.div(corrections.second.ref)).add(eps)
      const change = m1.ref.div(corrections.first.ref).div(root)
      next.w[name] = w[name].mul(1 - lr * work.weightDecay).sub(change.mul(lr))
      next.m[name] = m1
      next.v[name] = v1
    }
    return [loss, next]
  })
  let t = 0
  return {
    async run(count) {
      const losses = []
      for (let i = 0; i < count; i++) {
        const batch = batchOf(work, work.batches[t++])
        const corrections = { first: np.array(1 - beta1 ** t), second: np.array(1 - beta2 ** t) }
        const [loss, next] = step(state, batch, corrections)
        state = next
        losses.push(loss)
      }
      const read = await wait(Promise.all(losses.map(loss => loss.data())))
      await wait(jax.blockUntilReady(state))
      return { losses: read.map(values => values[0]) }
    },
    dispose() {
      jax.tree.dispose(state)
      step.dispose()
    },
  }
}

const OPERATORS = {
  matmul: ([a, b]) => np.matmul(a, b.transpose()),
  layernorm: ([x, weight, bias]) => layerNorm(x, weight, bias, 1e-12),
  attention: ([q, k, v]) => {
    const heads = x => x.transpose([0, 2, 1, 3])
    return jax.nn.dotProductAttention(heads(q), heads(k), heads(v)).transpose([0, 2, 1, 3])
  },
  gelu: ([x]) => gelu(x),
  gather: ([table, ids]) => np.take(table, ids, 0),
}

async function operator(work) {
  const inputs = work.inputs.map(input => np.array(inputOf(input)).reshape(input.shape))
  if (work.ids) inputs.push(np.array(Int32Array.from(work.ids), { dtype: np.int32 }))
  const forward = jax.jit((...operands) => OPERATORS[work.name](operands))
  let result
  return {
    async run(count) {
      // Work is lazy: a result that is dropped before it is waited for is never computed.
      const results = Array.from({ length: count }, () => forward(...inputs.map(input => input.ref)))
      await wait(jax.blockUntilReady(results))
      result?.dispose()
      result = results.pop()
      jax.tree.dispose(results)
      return {}
    },
    async values() {
      const values = await wait(result.ref.data())
      return work.sample.map(i => values[i])
    },
    dispose() {
      for (const array of [...inputs, result]) array?.dispose()
      forward.dispose()
    },
  }
}

await serve({ open, train, operator })
