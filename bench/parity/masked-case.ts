// Masked-language training against frozen values: logits of selected tokens, gradients, steps; the words that were drawn are in the case.
import { basename, dirname, join } from 'node:path'
import { noGrad, scope, takeRows } from '../../src/autograd/index.ts'
import { collatePadded } from '../../src/data/index.ts'
import { DataError } from '../../src/errors.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import type { BatchOf } from '../../src/inputs.ts'
import { DistilBertForMaskedLM, type MaskedLMInputs } from '../../src/models/index.ts'
import { loadWeights } from '../../src/train/index.ts'
import { need, readTensors, type Tensors } from './frozen.ts'
import { checkGrads, checkSteps, type TrainedCase } from './model-case.ts'
import { Check, type Finding } from './report.ts'

export interface MaskedCase extends TrainedCase {
  bert: Record<string, number>
  mask_token_id: number
}

export const isMasked = (frozen: Partial<Record<string, unknown>>): boolean =>
  typeof frozen.mask_token_id === 'number' && Object.hasOwn(Object(frozen.bert), 'vocab_size')

/** PyTorch's label of a token that is not to be predicted. */
const IGNORE = -100

export async function checkMaskedCase(gpu: Gpu, folder: string, frozen: MaskedCase): Promise<Finding[]> {
  const name = `${basename(dirname(folder))}/${basename(folder)}`
  const read = (file: string) => readTensors(join(folder, `${file}.safetensors`))
  const batches = await read('batches')
  const { bert, mask_token_id } = frozen
  // The mask's row is the table's last: the data has one token fewer.
  const model = new DistilBertForMaskedLM({
    features_config: { text: { dtype: 'token_id' } },
    pretrained_model_config: { ...bert, vocab_size: bert.vocab_size! - 1, dropout: 0, attention_dropout: 0 },
  }).to(gpu)
  try {
    const { maskTokenId } = model.inputs.masked
    if (maskTokenId !== mask_token_id)
      throw new DataError(`${name}: the mask is token ${mask_token_id}, expected the last, ${maskTokenId}`)
    await loadWeights(model, join(folder, 'weights.safetensors'))
    model.train()
    const batch = (index: number) => maskedBatch(batches, index, bert.pad_token_id!)
    const lossAt = (index: number) => model.loss(batch(index))
    const check = new Check(`${name}/forward`, 1e-5)
    const values = await read('forward')
    const [logits, loss] = scope(() =>
      noGrad(() => {
        const first = batch(0)
        const selected = takeRows(model.tokenLogits(first.text), first.masked.positions)
        return [selected.read(), model.loss(first).read()] as const
      }),
    )
    check.tensor('selected_logits', await logits, need(values, 'selected_logits').data)
    check.tensor('loss', await loss, need(values, 'loss').data)
    const findings = check.done()
    findings.push(...(await checkGrads(model, lossAt, await read('grads'), name)))
    return [...findings, ...(await checkSteps(model, lossAt, frozen, await read('final'), name))]
  } finally {
    model.free()
  }
}

function maskedBatch(batches: Tensors, index: number, padTokenId: number): BatchOf<MaskedLMInputs> {
  const get = (key: string) => need(batches, `${index}.${key}`)
  const [, S] = get('input_ids').shape as [number, number]
  const labels = get('labels').data
  const { text } = collatePadded(
    { inputIds: get('input_ids'), attentionMask: get('attention_mask') },
    { padTokenId },
  )
  const { tokens, rowIds, positionIds, inputIds, cuSeqlens } = text!
  const at = Array.from({ length: tokens }, (_, t) => labels[rowIds[t]! * S + positionIds.ids[t]!]!)
  const positions = Uint32Array.from(at.keys()).filter(t => at[t] !== IGNORE)
  const size = cuSeqlens.length - 1
  return {
    size,
    rows: Array.from({ length: size }, (_, b) => b),
    text: text!,
    masked: { inputIds, positions, labels: positions.map(t => at[t]!) },
  }
}
