import { UsageError } from '../../errors.ts'
import { openGpu } from '../../gpu/index.ts'
import {
  checkStages,
  describeStage,
  placeStage,
  type RankedLists,
  rankCandidates,
} from '../../serve/n-pass.ts'
import { passAt, readPasses } from '../../serve/n-pass-config.ts'
import { readForPasses } from '../../serve/n-pass-read.ts'
import type { Stage } from '../../serve/n-pass-stage.ts'
import { copiedColumns, rankedColumns, writeRanked, writeThrough } from '../../serve/n-pass-write.ts'
import { useArchitecture } from '../architecture.ts'
import { checkOutputs, folderInputs, inputs, isStdout, makeFolderOf } from '../outputs.ts'
import { createProgress } from '../progress.ts'
import { talkStream } from '../say.ts'
import { openRows } from '../score.ts'
import { count, formatTable } from '../table.ts'

export interface RankCommandOptions {
  passes: string
  data: string
  out: string
  keys?: string[]
  id?: string
  through?: number
  architecture?: string[]
  truncate?: boolean
  adapter?: string
  json?: boolean
}

/** Ranks the candidates of a file by several models in a row, or writes what the first of them let through. */
export async function run(options: RankCommandOptions): Promise<void> {
  const { data, out, through, truncate, json, adapter } = options
  const toStdout = await isStdout(out)
  if (toStdout && json) throw new UsageError(`--out ${out} is stdout, where --json goes; name a file`)
  const stream = talkStream(json || toStdout)
  for (const module of options.architecture ?? []) await useArchitecture(module)
  const config = await readPasses(options.passes)
  const passes = throughFirst(options, config.passes)
  const described: Stage[] = []
  for (const [i, pass] of passes.entries())
    described.push(await describeStage(passAt(options.passes, i), pass))
  const file = await openRows(data)
  const reads = [
    ...inputs('--passes', options.passes),
    ...inputs('--data', data),
    ...passes.flatMap(({ vectors }) => inputs('--passes', vectors)),
  ]
  for (const { model } of passes) reads.push(...(await folderInputs('--passes', model)))
  await checkOutputs({ reads, writes: [out] })
  // What cannot be written is told before anything is scored.
  if (through !== undefined) copiedColumns(file)
  const keys = options.keys ?? config.keys ?? []
  const id = options.id ?? config.id
  const where = options.passes
  const candidates = await readForPasses(where, described, file, {
    keys,
    ...(id !== undefined && { id }),
    truncate: truncate ?? false,
  })
  if (through === undefined) rankedColumns(candidates)
  await makeFolderOf(out)
  const gpu = await openGpu({ adapter })
  let ranked: RankedLists
  try {
    stream.write(`${gpu.adapter.line}\n`)
    const stages: Stage[] = []
    for (const [i, stage] of described.entries()) stages.push(await placeStage(gpu, stage, passes[i]!.model))
    await checkStages(where, stages)
    const tell = progressOf(stream)
    try {
      ranked = await rankCandidates(stages, candidates, { onBatch: tell.onBatch })
    } finally {
      tell.stop()
    }
  } finally {
    gpu.close()
  }
  let rows = file.rows
  if (through === undefined) await writeRanked(out, candidates, ranked)
  else rows = await writeThrough(out, file, candidates, ranked)
  const lists = ranked.starts.length - 1
  const told = passes.map(({ model, k }, i) => ({
    model,
    k: k ?? null,
    scored: ranked.scored[i]!,
    seconds: ranked.ms[i]! / 1000,
  }))
  if (json) {
    process.stdout.write(`${JSON.stringify({ out, rows, lists, passes: told })}\n`)
    return
  }
  const table = told.map(({ model, k, scored, seconds }, i) => [
    i + 1,
    model,
    count(scored),
    k === null ? 'all' : count(k),
    seconds.toFixed(2),
  ])
  stream.write(`\n${formatTable(['pass', 'model', 'scored', 'keeps', 'seconds'], table)}\n`)
  stream.write(
    through === undefined
      ? `\n${count(rows)} candidates of ${count(lists)} lists in ${out}\n`
      : `\n${count(rows)} of ${count(file.rows)} rows, what pass ${through} lets through, in ${out}\n`,
  )
}

/** The passes that are run: all, or those up to the one whose leavings are asked for. */
function throughFirst<P extends { k?: number }>(
  { through, passes: where }: RankCommandOptions,
  passes: P[],
): P[] {
  if (through === undefined) return passes
  if (through > passes.length)
    throw new UsageError(`--through ${through}: ${where} has ${passes.length} passes, expected one of them`)
  const own = passes.slice(0, through)
  if (own.some(({ k }) => k !== undefined)) return own
  throw new UsageError(
    `--through ${through}: ${passAt(where, through - 1)} has no k, nor has one before it: it lets every row through, expected how many it keeps`,
  )
}

/** A line or bar for each pass, one after the other. */
function progressOf(stream: NodeJS.WriteStream) {
  let [current, progress] = [-1, undefined as ReturnType<typeof createProgress> | undefined]
  return {
    onBatch(pass: number, rows: number, totalRows: number): void {
      if (pass !== current) {
        progress?.stop()
        progress = createProgress({ total: totalRows, label: `pass ${pass + 1}: row`, stream })
        current = pass
      }
      progress?.update({ done: rows, rows, totalRows })
    },
    stop: () => progress?.stop(),
  }
}
