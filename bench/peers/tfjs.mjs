// The benchmark's work in TensorFlow.js: padded batches, its own Adam with the decay of AdamW before it.
import { checkBindings, initial, inputOf, offerWebGpu, serve, wait } from './serve.mjs'

let tf
let gather

/** tf.gather; the WASM backend has no kernel for its gradient, and one for an equal scatter. */
function gatherWithScatter(table, ids) {
  const [rows, width] = table.shape
  const flat = tf.reshape(ids, [-1, 1])
  const lookup = tf.customGrad(t => ({
    value: tf.gather(t, ids),
    gradFunc: dy => tf.scatterND(flat, tf.reshape(dy, [-1, width]), [rows, width]),
  }))
  return lookup(table)
}

async function open({ backend, adapter, threads }) {
  offerWebGpu(adapter, threads)
  tf = await import('@tensorflow/tfjs-core')
  await import('@tensorflow/tfjs-layers') // registers the gradients of core's operations
  await import(`@tensorflow/tfjs-backend-${backend}`)
  if (!(await tf.setBackend(backend))) throw new Error(`the backend ${backend} does not start`)
  await tf.ready()
  gather = backend === 'wasm' ? gatherWithScatter : (table, ids) => tf.gather(table, ids)
  return `tfjs ${tf.version_core} on ${tf.getBackend()}`
}

const layerNorm = (x, weight, bias, eps) => {
  const { mean, variance } = tf.moments(x, -1, true)
  const unit = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, eps)))
  return tf.add(tf.mul(unit, weight), bias)
}
const gelu = x => tf.mul(tf.mul(x, tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)), 0.5)

function model(work, w) {
  // Not tf.fused.matMul: with transposeB its result on the WASM backend is wrong.
  const linear = (x, name) => tf.add(tf.matMul(x, w[`${name}.weight`], false, true), w[`${name}.bias`])
  const norm = (x, name, eps) => layerNorm(x, w[`${name}.weight`], w[`${name}.bias`], eps)
  const { dim: H, heads: A, layers } = work
  const D = H / A

  const attention = (x, at, bias, B, S) => {
    const split = name => tf.transpose(tf.reshape(linear(x, `${at}.${name}`), [B, S, A, D]), [0, 2, 1, 3])
    const scores = tf.mul(tf.matMul(split('q_lin'), split('k_lin'), false, true), 1 / Math.sqrt(D))
    const mixed = tf.matMul(tf.softmax(tf.add(scores, bias)), split('v_lin'))
    return linear(tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [B * S, H]), `${at}.out_lin`)
  }

  return ({ ids, mask, categorical, numerical, labels }) => {
    const [B, S] = ids.shape
    const words = gather(w['bert.embeddings.word_embeddings.weight'], ids)
    const positions = tf.slice(w['bert.embeddings.position_embeddings.weight'], [0, 0], [S, H])
    let x = norm(tf.reshape(tf.add(words, positions), [B * S, H]), 'bert.embeddings.LayerNorm', 1e-12)
    const bias = tf.reshape(tf.mul(tf.sub(mask, 1), 1e9), [B, 1, 1, S])
    for (let i = 0; i < layers; i++) {
      const at = `bert.transformer.layer.${i}`
      x = norm(tf.add(attention(x, `${at}.attention`, bias, B, S), x), `${at}.sa_layer_norm`, 1e-12)
      const fed = linear(gelu(linear(x, `${at}.ffn.lin1`)), `${at}.ffn.lin2`)
      x = norm(tf.add(fed, x), `${at}.output_layer_norm`, 1e-12)
    }
    const kept = tf.expandDims(mask, -1)
    const text = tf.div(tf.sum(tf.mul(tf.reshape(x, [B, S, H]), kept), 1), tf.sum(kept, 1))
    const rows = work.tables.map(({ name }) =>
      gather(w[`categorical_embeddings.${name}_embedding.weight`], categorical[name]),
    )
    let y = tf.concat([text, ...rows, ...work.numerical.map(name => numerical[name])], 1)
    for (const i of work.mlp.keys()) y = tf.relu(norm(linear(y, `mlp.${3 * i}`), `mlp.${3 * i + 1}`, 1e-5))
    const logits = linear(y, 'head')
    return tf.div(tf.sum(tf.mul(tf.logSoftmax(logits), labels)), -B)
  }
}

function batchOf(work, raw) {
  const ids = tf.tensor2d(raw.inputIds, undefined, 'int32')
  const columns = (values, make) => Object.fromEntries(Object.entries(values).map(([k, v]) => [k, make(v)]))
  return {
    ids,
    mask: tf.tensor2d(raw.inputIds.map(row => row.map(id => Number(id !== work.pad)))),
    categorical: columns(raw.categorical, v => tf.tensor1d(v, 'int32')),
    numerical: columns(raw.numerical, v => tf.tensor2d(v, [v.length, 1])),
    labels: tf.tensor2d(
      raw.labels.map(label => Array.from({ length: work.classes }, (_, c) => Number(c === label))),
    ),
  }
}

async function train(work) {
  if (tf.getBackend() === 'webgpu') checkBindings(work, tf.backend().device.limits)
  const w = {}
  for (const parameter of work.parameters)
    w[parameter.name] = tf.variable(tf.tensor(initial(work, parameter), parameter.shape))
  const lossOf = model(work, w)
  const names = work.parameters.map(({ name }) => name)
  const groups = [true, false].map((encoder, i) => ({
    lr: work.lr[i],
    names: names.filter(name => name.includes('bert.') === encoder),
    adam: tf.train.adam(work.lr[i], 0.9, 0.999, 1e-8),
  }))
  const byVariable = new Map(names.map(name => [w[name].name, name]))
  const step = raw =>
    tf.tidy(() => {
      const batch = batchOf(work, raw)
      const { value, grads } = tf.variableGrads(
        () => lossOf(batch),
        names.map(name => w[name]),
      )
      const squares = Object.values(grads).map(grad => tf.sum(tf.square(grad)))
      const norm = tf.sqrt(squares.reduce((a, b) => tf.add(a, b))) // tf.addN binds one buffer a term: 8 at most
      const scale = tf.minimum(tf.div(work.clip, tf.add(norm, 1e-6)), 1)
      const gradOf = new Map(Object.entries(grads).map(([name, grad]) => [byVariable.get(name), grad]))
      for (const { lr, names, adam } of groups) {
        for (const name of names) w[name].assign(tf.mul(w[name], 1 - lr * work.weightDecay))
        adam.applyGradients(
          names.map(name => ({ name: w[name].name, tensor: tf.mul(gradOf.get(name), scale) })),
        )
      }
      return value
    })
  let next = 0
  return {
    async run(count) {
      const losses = []
      for (let i = 0; i < count; i++) losses.push(step(work.batches[next++]))
      const read = await wait(Promise.all(losses.map(loss => loss.data())))
      tf.dispose(losses)
      return { losses: read.map(values => values[0]) }
    },
    dispose() {
      for (const { adam } of groups) adam.dispose()
      tf.dispose(w)
    },
  }
}

const OPERATORS = {
  matmul: ([a, b]) => tf.matMul(a, b, false, true),
  layernorm: ([x, weight, bias]) => layerNorm(x, weight, bias, 1e-12),
  attention: ([q, k, v]) =>
    tf.matMul(tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(q.shape[3]))), v),
  gelu: ([x]) => gelu(x),
  gather: ([table], ids) => tf.gather(table, ids),
}

async function operator(work) {
  const inputs = work.inputs.map(input => tf.tensor(inputOf(input), input.shape))
  const ids = work.ids && tf.tensor1d(work.ids, 'int32')
  const forward = () => tf.tidy(() => OPERATORS[work.name](inputs, ids))
  let result
  return {
    async run(count) {
      for (let i = 0; i < count; i++) {
        result?.dispose()
        result = forward()
      }
      // The queue runs in order: when one element of the last result can be read, everything is done.
      const one = tf.tidy(() => tf.slice(tf.reshape(result, [-1]), [0], [1]))
      await wait(one.data())
      one.dispose()
      return {}
    },
    async values() {
      const values = await wait(result.data())
      return work.sample.map(i => values[i])
    },
    dispose: () => tf.dispose([inputs, ids, result].filter(Boolean)),
  }
}

await serve({ open, train, operator })
