// Weights to files and back, in pieces.
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readParameter } from '../../src/autograd/index.ts'
import { writeSafetensors } from '../../src/data/safetensors-file.ts'
import { Embedding } from '../../src/nn/index.ts'
import { loadModel, loadWeights, saveModel, saveWeights } from '../../src/train/index.ts'
import { openTestGpu, seededInts } from '../support/gpu.ts'
import { readSafetensors } from '../support/read-safetensors.ts'
import { bitsOf, makeRun } from '../support/small-run.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-checkpoint-'))
const PIECE_BYTES = 1 << 24
// More than a piece, which ends in the middle of a row.
const [ROWS, WIDTH] = [70_001, 61]

/** Runs `work` and returns how many bytes were read from the device at most at once. */
async function largestRead(work: () => Promise<void>): Promise<number> {
  const read = gpu.readBytes.bind(gpu)
  let largest = 0
  gpu.readBytes = view => {
    largest = Math.max(largest, view.size)
    return read(view)
  }
  try {
    await work()
  } finally {
    gpu.readBytes = read
  }
  return largest
}

test('a large table passes through the host in pieces, to the bit', async () => {
  const path = join(folder, 'table.safetensors')
  const [a, b] = [1, 2].map(seed => new Embedding(ROWS, WIDTH).to(gpu, { seed })) as [Embedding, Embedding]
  assert.is(await largestRead(() => saveWeights(a, path)), PIECE_BYTES)
  const values = await readParameter(a.weight)
  const stored = readSafetensors(path).get('weight')!
  assert.equal([stored.dtype, stored.shape], ['F32', [ROWS, WIDTH]])
  assert.ok(Buffer.from(values.buffer).equals(Buffer.from((stored.data as Float32Array).buffer)))
  await loadWeights(b, path)
  assert.ok(Buffer.from((await readParameter(b.weight)).buffer).equals(Buffer.from(values.buffer)))
  for (const module of [a, b]) module.free()
})

test('a saved model replaces a saved model, and no folder that holds anything else', async () => {
  const output = join(folder, 'run')
  const { trainer, model } = await makeRun(gpu, { max_steps: 2, save_steps: 2, eval_steps: 2 }, { output })
  await trainer.train()
  const held = readdirSync(output)
  const refused = (path: string) =>
    saveModel(model, path).then(
      () => 'saved',
      (error: Error) => error.message,
    )
  assert.match(
    await refused(output),
    /^cannot write .*run: it holds (checkpoint-2|report\.html), .*name another folder, such as .*run.model$/,
  )
  assert.equal(readdirSync(output), held)
  const saved = join(output, 'model')
  await saveModel(model, saved, { 'more.json': { a: 1 } })
  await saveModel(model, saved)
  assert.not.ok(existsSync(join(saved, 'more.json')))
  for (const name of ['notes.txt', 'package.json']) {
    writeFileSync(join(saved, name), '{}')
    assert.match(await refused(saved), `it holds ${name}`)
    assert.ok(existsSync(join(saved, name)))
    rmSync(join(saved, name))
  }
  const again = await loadModel(gpu, saved)
  assert.equal(await bitsOf(again), await bitsOf(model))
  for (const each of [model, again]) each.free()
})

test('bfloat16 weights load in pieces too', async () => {
  const path = join(folder, 'bf16.safetensors')
  // Any bfloat16 is the upper half of a float32; those drawn are finite.
  const halves = Uint16Array.from(seededInts(ROWS * WIDTH, 3, 0x7f00), (bits, i) => bits | ((i & 1) << 15))
  await writeSafetensors(path, [
    { name: 'weight', dtype: 'BF16', shape: [ROWS, WIDTH], chunks: [new Uint8Array(halves.buffer)] },
  ])
  const table = new Embedding(ROWS, WIDTH).to(gpu)
  await loadWeights(table, path)
  const bits = new Uint32Array((await readParameter(table.weight)).buffer)
  assert.ok(bits.every((word, i) => word === (halves[i]! << 16) >>> 0))
  table.free()
})

test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})
test.run()
