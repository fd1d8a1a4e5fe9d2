// Saves the logits of a trained model for some rows of a Parquet file, and the batch itself padded as PyTorch takes it, for
// tools/check_in_pytorch.py. Build first.
//
//   npm run build && node tools/save-logits.mjs MODEL_FOLDER DATA.parquet OUT.safetensors [ROWS]
import { noGrad, scope } from '../dist/src/autograd/index.js'
import { collate, streamChunks } from '../dist/src/data/index.js'
import { writeSafetensors } from '../dist/src/data/safetensors-file.js'
import { openGpu } from '../dist/src/gpu/index.js'
import { collateOptions, loadModel, readOptions } from '../dist/src/train/index.js'

const [folder, data, out, rows = '64'] = process.argv.slice(2)
if (!out) {
  console.error('usage: node tools/save-logits.mjs MODEL_FOLDER DATA.parquet OUT.safetensors [ROWS]')
  process.exit(2)
}

const gpu = await openGpu()
console.error(gpu.adapter.line)
const model = await loadModel(gpu, folder)
const reading = readOptions(model.config, { requireLabels: false, tokenizer: model.tokenizer })
const { value: chunk } = await streamChunks(data, reading).next()
const B = Math.min(Number(rows), chunk.length)
const batch = collate(
  chunk,
  Array.from({ length: B }, (_, i) => i),
  collateOptions(model, { truncate: true }),
)
const logits = await scope(() => noGrad(() => model.forward({ ...batch, labels: undefined })).logits.read())

const { inputIds, positionIds, keyMask, rowIds } = batch.text
const S = 1 + positionIds.ids.reduce((most, position) => Math.max(most, position), 0)
const padded = new BigInt64Array(B * S).fill(BigInt(model.config.pretrained_model_config.pad_token_id))
const mask = new BigInt64Array(B * S)
for (const [t, row] of rowIds.entries()) {
  const at = row * S + positionIds.ids[t]
  padded[at] = BigInt(inputIds.ids[t])
  mask[at] = BigInt(keyMask[t])
}
const tensor = (name, dtype, shape, values) => ({
  name,
  dtype,
  shape,
  chunks: [new Uint8Array(values.buffer, values.byteOffset, values.byteLength)],
})
await writeSafetensors(out, [
  tensor('input_ids', 'I64', [B, S], padded),
  tensor('attention_mask', 'I64', [B, S], mask),
  ...Object.entries(batch.categorical).map(([name, { ids }]) => tensor(`feature.${name}`, 'I32', [B], ids)),
  ...Object.entries(batch.numerical).map(([name, values]) => tensor(`feature.${name}`, 'F32', [B], values)),
  tensor('logits', 'F32', [B, logits.length / B], logits),
])
console.error(`${B} rows of ${data} and their logits are in ${out}`)
gpu.close()
