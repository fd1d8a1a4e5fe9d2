import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { readJson, reason } from '../../src/data/files.ts'
import { DataError } from '../../src/errors.ts'
import { type Gpu, openGpu } from '../../src/gpu/index.ts'
import { type CrossEncoderCase, checkCrossEncoderCase, isCrossEncoder } from './cross-encoder-case.ts'
import { checkDetextCase, type DetextCase, isDetext } from './detext-case.ts'
import { checkDistillationCase, type DistillationCase, isDistillation } from './distillation-case.ts'
import { hasFile } from './frozen.ts'
import { checkFullCase, type FullCase } from './full-case.ts'
import {
  checkFusedTextCase,
  checkFusionCase,
  type FusedTextCase,
  type FusionCase,
  isFusedTextCase,
  isFusionCase,
} from './fusion-case.ts'
import { checkListsCase, isLists, type ListsCase } from './lists-case.ts'
import { checkLtrCase, type LtrCase } from './ltr-case.ts'
import { checkMaskedCase, isMasked, type MaskedCase } from './masked-case.ts'
import { checkModelCase, isFineTuned, type ModelCase } from './model-case.ts'
import { checkNPassCase, isNPass, type NPassCase } from './n-pass-case.ts'
import { checkOpsCase } from './ops-case.ts'
import { checkOptimCase, type OptimCase } from './optim-case.ts'
import { checkPlantedCase, type PlantedCase } from './planted-case.ts'
import { checkRankingCase, type RankingCase } from './ranking-case.ts'
import { type Finding, findingsTable, passes } from './report.ts'
import { checkSidedCase, isSided, type SidedCase } from './sided-case.ts'
import { type AdamWCase, checkAdamWCase, checkMetricsCase, type MetricsCase } from './small-cases.ts'
import { checkTrainerCase, type TrainerCase } from './trainer-case.ts'
import { checkUltrFilesCase, isUltrFiles, type UltrFilesCase } from './ultr-files-case.ts'
import { checkUltrLossesCase, isUltrLosses, type UltrLossesCase } from './ultr-losses-case.ts'

export interface ParityOptions {
  folder: string
  adapter?: string
  json?: boolean
  fp16?: boolean
}

/** Models that there are cases of; what belongs to others is left out by name. */
const MODELS: unknown[] = ['TextTabular', 'TextOnly']

/** What a case folder holds decides who checks it; the folder's name does not matter. */
function checkerOf(
  folder: string,
  frozen: Record<string, unknown>,
  options: Pick<ParityOptions, 'fp16'>,
): ((gpu: Gpu) => Promise<Finding[]>) | undefined {
  if (hasFile(folder, 'ops.safetensors'))
    return gpu => checkOpsCase(gpu, folder, frozen as Record<string, string>)
  if (hasFile(folder, 'adamw.safetensors'))
    return gpu => checkAdamWCase(gpu, folder, frozen as unknown as AdamWCase)
  if (hasFile(folder, 'optim.safetensors'))
    return gpu => checkOptimCase(gpu, folder, frozen as unknown as OptimCase)
  if (Array.isArray(frozen.cases) && frozen.cases.every(one => one && 'y' in one && 'roc_auc' in one))
    return async () => checkMetricsCase(folder, frozen as unknown as MetricsCase)
  if (Array.isArray(frozen.cases) && frozen.cases.every(one => one && 'starts' in one && 'at' in one))
    return async () => checkRankingCase(folder, frozen as unknown as RankingCase)
  if (hasFile(folder, 'ltr.safetensors'))
    return gpu => checkLtrCase(gpu, folder, frozen as unknown as LtrCase)
  if (hasFile(folder, 'losses.safetensors') && isDistillation(frozen))
    return gpu => checkDistillationCase(gpu, folder, frozen as unknown as DistillationCase)
  if (hasFile(folder, 'train.parquet') && Array.isArray(frozen.runs))
    return gpu => checkPlantedCase(gpu, folder, frozen as unknown as PlantedCase, options)
  if (hasFile(folder, 'linear_warmup.final.safetensors'))
    return gpu => checkTrainerCase(gpu, folder, frozen as unknown as TrainerCase)
  if (isNPass(frozen)) return async () => checkNPassCase(folder, frozen as unknown as NPassCase)
  if (isLists(frozen)) return async () => checkListsCase(folder, frozen as unknown as ListsCase)
  if (isUltrLosses(frozen))
    return gpu => checkUltrLossesCase(gpu, folder, frozen as unknown as UltrLossesCase)
  if (isUltrFiles(frozen)) return () => checkUltrFilesCase(folder, frozen as unknown as UltrFilesCase)
  if (!hasFile(folder, 'batches.safetensors')) return undefined
  if (isCrossEncoder(frozen))
    return gpu => checkCrossEncoderCase(gpu, folder, frozen as unknown as CrossEncoderCase)
  if (isMasked(frozen)) return gpu => checkMaskedCase(gpu, folder, frozen as unknown as MaskedCase)
  if (isDetext(frozen)) return gpu => checkDetextCase(gpu, folder, frozen as unknown as DetextCase)
  if (isSided(frozen)) return gpu => checkSidedCase(gpu, folder, frozen as unknown as SidedCase)
  if (isFusionCase(frozen)) return gpu => checkFusionCase(gpu, folder, frozen as unknown as FusionCase)
  if (isFusedTextCase(frozen))
    return gpu => checkFusedTextCase(gpu, folder, frozen as unknown as FusedTextCase)
  if (hasFile(folder, 'weights.safetensors') && (MODELS.includes(frozen.model) || isFineTuned(frozen)))
    return gpu => checkModelCase(gpu, folder, frozen as unknown as ModelCase)
  if (Array.isArray(frozen.steps)) return gpu => checkFullCase(gpu, folder, frozen as unknown as FullCase)
  return undefined
}

/** Checks every case folder of frozen values against the adapter in use; 1 when a bound is passed. */
export async function run({ folder, adapter, json, fp16 }: ParityOptions): Promise<number> {
  const folders = caseFolders(folder)
  const gpu = await openGpu({ adapter })
  const findings: Finding[] = []
  const skipped: string[] = []
  try {
    if (!json) process.stdout.write(`${gpu.adapter.line}\n\n`)
    for (const path of folders) {
      const check = checkerOf(path, (await readJson(join(path, 'case.json'))) as Record<string, unknown>, {
        fp16,
      })
      if (check) findings.push(...(await check(gpu)))
      else skipped.push(path)
    }
  } finally {
    gpu.close()
  }
  if (!findings.length) throw new DataError(`${folder} holds no case of frozen values that can be checked`)
  const failed = findings.filter(finding => !passes(finding))
  if (json) process.stdout.write(`${JSON.stringify({ adapter: gpu.adapter.line, findings, skipped })}\n`)
  else {
    process.stdout.write(`${findingsTable(findings)}\n`)
    for (const path of skipped) process.stdout.write(`not a parity case, left out: ${path}\n`)
    process.stdout.write(
      `\nparity: ${findings.length - failed.length} of ${findings.length} within their bounds\n`,
    )
  }
  return failed.length ? 1 : 0
}

/** The folder itself, or the folders in it, that hold a case.json. */
function caseFolders(folder: string): string[] {
  if (hasFile(folder, 'case.json')) return [folder]
  let names: string[]
  try {
    names = readdirSync(folder).sort()
  } catch (error) {
    throw new DataError(`cannot read ${folder}: ${reason(error)}`, { cause: error })
  }
  // Cases of a family may stand in a folder of it.
  const found = names
    .map(name => join(folder, name))
    .filter(path => statSync(path).isDirectory())
    .flatMap(path => (hasFile(path, 'case.json') ? [path] : familyFolders(path)))
  if (!found.length) throw new DataError(`${folder} holds no case folder (a folder with a case.json)`)
  return found
}

const familyFolders = (folder: string): string[] =>
  readdirSync(folder)
    .sort()
    .map(name => join(folder, name))
    .filter(path => statSync(path).isDirectory())
    .flatMap(path => (hasFile(path, 'case.json') ? [path] : familyFolders(path)))
