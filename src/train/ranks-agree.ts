// Whether the ranks of a run are one run: the same program, data, model and settings before the first step, the same weights at every save.
import { files } from '#files'
import { readParameter } from '../autograd/index.ts'
import { RankError } from '../errors.ts'
import { bitsKey, VERSION } from '../kernels/tuning.ts'
import type { Model } from '../models/index.ts'
import { Counter } from '../nn/buffers.ts'
import { type Agreed, agree, type Ranks } from '../ranks/index.ts'
import type { Fingerprint, Fingerprints } from './fingerprint.ts'
import { readsOf } from './resume-check.ts'
import type { CheckedOptions } from './trainer-options.ts'
import type { TrainerState } from './trainer-state.ts'

/** SHA-256 of all that a model saves: names, shapes, bits. */
async function weightsPrint(model: Model): Promise<string> {
  const hash = files.sha256()
  const text = (value: unknown) => hash.update(new TextEncoder().encode(`${JSON.stringify(value)}\n`))
  for (const [name, one] of model.namedState()) {
    text([name, one.shape])
    if (one instanceof Counter) text(one.value)
    else hash.update(new Uint8Array((await readParameter(one)).buffer))
  }
  return hash.digest('hex')
}

/**
 * Holds what a run begins with against the other ranks'.
 * @throws RankError on every rank, naming the first that differs and what it has
 */
export async function agreeOnRun(
  { model, config, output, rows, ranks }: CheckedOptions,
  data: Fingerprints,
  { global_step }: TrainerState,
): Promise<void> {
  const values: Record<string, Agreed> = {
    'the version of kernelgrad': VERSION,
    'the adapter': bitsKey(model.gpu),
    'the architecture': model.config.architecture,
    'whether checkpoints are saved (output)': output !== undefined,
    'whether there is data to evaluate on': rows.every(({ evaluation }) => evaluation !== undefined),
    'the step to go on from': global_step,
  }
  for (const [key, value] of Object.entries(config)) values[`the trainer's ${key}`] = told(value)
  for (const [key, value] of Object.entries(model.comparable() as object))
    values[`the model's ${key}`] = told(value)
  for (const [name, columns] of readsOf(model.inputs)) values[`what is read as '${name}'`] = columns
  for (const [name, json] of Object.entries(model.tokenizer?.files ?? {})) values[name] = textPrint(json)
  Object.assign(values, ofData('the training data', data.train))
  Object.assign(values, ofData('the evaluation data', data.evaluation))
  for (const [i, stage] of (data.stages ?? []).entries()) {
    Object.assign(values, ofData(`the training data of stage ${i}`, stage?.train ?? []))
    Object.assign(values, ofData(`the evaluation data of stage ${i}`, stage?.evaluation ?? []))
  }
  for (const [i, teacher] of (data.teachers ?? []).entries()) values[`teacher ${i}`] = teacher.sha256
  await agree(ranks, values)
  // After all that would say more of why.
  await agree(ranks, { 'the weights that training starts from': await weightsPrint(model) })
}

/** Data by what it holds: where it lies may differ. */
function ofData(what: string, prints: readonly Fingerprint[]): Record<string, Agreed> {
  const told: Record<string, Agreed> = { [`the number of files of ${what}`]: prints.length }
  for (const [i, { rows, sha256 }] of prints.entries()) {
    told[`the rows of ${what}, file ${i}`] = rows
    told[`${what}, file ${i}`] = sha256
  }
  return told
}

const told = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 200 ? `${text.slice(0, 80)}… (${textPrint(text)})` : text
}

function textPrint(value: unknown): string {
  const hash = files.sha256()
  hash.update(new TextEncoder().encode(JSON.stringify(value)))
  return hash.digest('hex')
}

/**
 * Holds the weights against the other ranks', before they are saved.
 * @throws RankError on every rank, naming the first whose weights are others
 */
export async function agreeOnWeights(ranks: Ranks, model: Model, step: number): Promise<void> {
  await agree(ranks, { [`the weights after step ${step}`]: await weightsPrint(model) })
}

/** Ends all ranks for what one has met; what another has met is thrown on. */
export async function endAll(ranks: Ranks, error: unknown): Promise<never> {
  if (!(error instanceof RankError)) {
    const reason = error instanceof Error ? error.message || error.name : String(error)
    // Always fails, with the reason; here the error itself says more.
    await ranks.abort(reason).catch(() => {})
  }
  throw error
}
