// From arguments to an exit code: 0 fine, 1 failed, 2 called wrongly.
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { wholeNumber } from '../src/cli/command.ts'
import { UsageError } from '../src/errors.ts'
import { type Gpu, openGpu } from '../src/gpu/index.ts'
import { compare } from './compare/compare.ts'
import { benchData, dataTable } from './data.ts'
import { benchDistillation, distillationTable } from './distillation.ts'
import { estimates, estimateTable } from './estimate.ts'
import { expectSome } from './filter.ts'
import { benchGpuJs, DUEL_NAMES, gpuJsTable } from './gpujs.ts'
import { benchKernels, kernelNames } from './kernels.ts'
import { benchLosses, lossesTable } from './losses.ts'
import { LONG, type StepSize } from './models.ts'
import { measurePeaks } from './peaks.ts'
import { benchPreprocess } from './preprocess.ts'
import { benchRanks, ranksTable } from './ranks.ts'
import { estimateRanks, estimateRanksTable } from './ranks-model.ts'
import { jsonLine, peakLines } from './report.ts'
import { benchRequests, type RequestsOptions, requestsTable } from './requests.ts'
import { benchScaling, SCALING_NAMES, scalingTable } from './scaling.ts'
import { benchServe, serveTable } from './serve.ts'
import { benchStep, stepTable } from './step.ts'

interface Options {
  json?: boolean
  quick?: boolean
  filter?: string
  tiny?: boolean
  small?: boolean
  full?: boolean
  long?: boolean
  dropout?: boolean
  fp16?: boolean
  pretrain?: boolean
  floor?: boolean
  defaultLimits?: boolean
  steps?: number
  compare?: boolean
  peer?: string
  rows?: number
}

const print = (line: string) => void process.stdout.write(`${line}\n`)

/** Runs `body` on a device; the adapter's line goes where it does not disturb JSON. */
async function withGpu({ json, defaultLimits }: Options, body: (gpu: Gpu) => Promise<void>): Promise<void> {
  const gpu = await openGpu({ defaultLimits: defaultLimits ?? false })
  if (json) process.stderr.write(`${gpu.adapter.line}\n`)
  else print(gpu.adapter.line)
  try {
    await body(gpu)
  } finally {
    gpu.close()
  }
}

async function peaks(gpu: Gpu, { json, quick }: Options) {
  const measured = await measurePeaks(gpu, { quick })
  if (!json) print(`\n${peakLines(measured)}`)
  return measured
}

async function kernels(gpu: Gpu, options: Options): Promise<void> {
  expectSome(options.filter ?? '', kernelNames())
  await benchKernels(gpu, await peaks(gpu, options), { ...options, print })
}

async function gpuJs(gpu: Gpu, options: Options, measured?: Awaited<ReturnType<typeof peaks>>) {
  if (!measured) expectSome(options.filter ?? '', DUEL_NAMES)
  const results = await benchGpuJs(gpu, measured ?? (await peaks(gpu, options)), options)
  if (options.json) for (const result of results) print(jsonLine(result))
  else if (results.length) print(`\n${gpuJsTable(results)}`)
}

async function scaling(gpu: Gpu, options: Options): Promise<void> {
  expectSome(options.filter ?? '', SCALING_NAMES)
  const results = await benchScaling(gpu, options)
  if (options.json) for (const result of results) print(JSON.stringify(result))
  else print(`\n${scalingTable(results)}`)
}

async function serve(gpu: Gpu, { json, quick }: Options): Promise<void> {
  const result = await benchServe(gpu, { quick: quick ?? false })
  print(json ? JSON.stringify(result) : serveTable(result))
}

async function distillation(gpu: Gpu, { json, quick }: Options): Promise<void> {
  const result = await benchDistillation(gpu, { quick: quick ?? false })
  print(json ? JSON.stringify(result) : distillationTable(result))
}

async function losses(gpu: Gpu, { json, quick }: Options): Promise<void> {
  const result = await benchLosses(gpu, { quick: quick ?? false })
  print(json ? JSON.stringify(result) : lossesTable(result))
}

async function step(gpu: Gpu, options: Options): Promise<void> {
  const size: StepSize = options.full ? 'full' : options.small ? 'small' : 'tiny'
  for (const each of options.long ? LONG : [size]) {
    const result = await benchStep(gpu, { ...options, size: each })
    print(`${options.json ? '' : '\n'}${stepTable(result)}`)
    if (options.json) print(JSON.stringify(result))
  }
}

/** Needs no device. */
async function data(options: Options): Promise<void> {
  const result = await benchData(options)
  print(options.json ? JSON.stringify(result) : dataTable(result))
}

async function compared(gpu: Gpu, options: Options): Promise<void> {
  const results = await compare(gpu, { ...options, print })
  if (results.some(({ variant, counts }) => variant === 'kernelgrad' && !counts)) process.exitCode = 1
}

async function everything(gpu: Gpu, options: Options): Promise<void> {
  if (options.compare) return compared(gpu, options)
  expectSome(options.filter ?? '', [...kernelNames(), ...DUEL_NAMES])
  const measured = await peaks(gpu, options)
  await benchKernels(gpu, measured, { ...options, print })
  await gpuJs(gpu, options, measured)
}

/** A word that names contain: every name contains an empty one. */
function word(text: string): string {
  if (text.trim()) return text
  throw new InvalidArgumentError('expected a part of a name')
}

/** @throws UsageError for what says how to compare, where nothing is compared */
function expectCompare(options: Options): void {
  const given = (['full', 'long', 'peer'] as const).filter(name => options[name] !== undefined)
  if (options.compare || !given.length) return
  throw new UsageError(
    `--${given[0]} is for --compare; a step of that size is 'step --full' or 'step --long'`,
  )
}

/** @returns the exit code. Never throws. */
export async function runBench(args: readonly string[]): Promise<number> {
  const program = new Command('npm run bench --')
    .description('time the kernels and a training step on the adapter in use')
    .helpCommand(false)
    .exitOverride()
  const command = (name: string, description: string, body: typeof kernels, isDefault = false) =>
    program
      .command(name, { isDefault })
      .description(description)
      .option('--json', 'print JSON instead of tables')
      .action((options: Options) => withGpu(options, gpu => body(gpu, options)))
  const rows = (made: Command) =>
    made
      .option('--filter <word>', 'only rows whose name contains it', word)
      .option('--quick', 'smallest sizes, one short sample: shows that everything runs')
  const peers = (made: Command) =>
    made
      .option('--full', 'with --compare: the notebook’s own size too, which takes gigabytes')
      .addOption(
        new Option(
          '--long',
          'with --compare: the models with long texts instead, which take minutes',
        ).conflicts('full'),
      )
      .option('--peer <word>', 'with --compare: only libraries whose name contains it', word)
      .hook('preAction', made => expectCompare(made.opts()))
  peers(rows(command('all', 'peaks, kernels and gpu.js (the default)', everything, true))).option(
    '--compare',
    'instead: the same work by tfjs, jax-js and PyTorch, in turns',
  )
  rows(command('kernels', 'every kernel family at the model sizes', kernels))
  rows(command('gpujs', 'gpu.js beside this library', gpuJs))
  rows(command('scaling', 'the encoder against kept tokens, the optimizer against vocabulary', scaling))
  command(
    'serve',
    'a query against a million kept vectors, and a student beside the cross encoder',
    serve,
  ).option('--quick', 'small sizes: shows that everything runs')
  command(
    'distillation',
    'a student’s step alone, on columns of its teacher’s logits, and beside its teacher',
    distillation,
  ).option('--quick', 'small sizes: shows that everything runs')
  command('losses', 'steps of a ranker under each loss over lists, in turns', losses).option(
    '--quick',
    'small sizes: shows that everything runs',
  )
  command('peaks', 'what the adapter can do at most', async (gpu, options) => {
    const measured = await peaks(gpu, options)
    if (options.json) print(JSON.stringify(measured))
  }).option('--quick', 'small sizes, one short sample')
  command('step', 'a training step of the model', step)
    .addOption(new Option('--tiny', 'hidden size 64 (the default)').conflicts(['small', 'full']))
    .addOption(new Option('--small', 'hidden size 256').conflicts('full'))
    .option('--full', 'the notebook’s model: 143,602,190 parameters')
    .addOption(
      new Option('--long', 'three models with texts of 64 to 512 tokens').conflicts([
        'tiny',
        'small',
        'full',
      ]),
    )
    .option('--floor', 'with the least time it could take on this adapter; always with --full')
    .option('--dropout', 'with dropout 0.1')
    .addOption(
      new Option('--pretrain', 'masked-language pretraining of its encoder, over all tokens').conflicts(
        'floor',
      ),
    )
    .addOption(
      new Option('--fp16', 'in mixed precision: f16 activations, float32 weights').conflicts('floor'),
    )
    .option('--default-limits', 'with the limits that every WebGPU device has, and no more')
    .option('--steps <count>', 'steps after three of warm-up', wholeNumber(1))
  program
    .command('requests')
    .description('rows scored one by one by the demo’s model: in this process, and behind HTTP under load')
    .option('--quick', 'few requests: shows that everything runs')
    .option('--peer', 'PyTorch on the CPU beside it, in turns; starts Python')
    .option('--clients <count>', 'connections at once', wholeNumber(1), 64)
    .option('--soak <minutes>', 'instead: load with a fault every 10 s', wholeNumber(1))
    .option('--json', 'print JSON instead of tables')
    .action(async ({ json, ...options }: RequestsOptions & { json?: boolean }) => {
      const result = await benchRequests(options)
      print(json ? JSON.stringify(result) : `${result.adapter}\n\n${requestsTable(result)}`)
    })
  program
    .command('data')
    .description('decoding and collating rows shaped like the KDD Cup 2012 data')
    .option('--rows <count>', 'rows of the file, default 900,000', wholeNumber(1))
    .option('--json', 'print JSON instead of tables')
    .action(data)
  program
    .command('ranks')
    .description('processes over MPI on this machine: a sum of 14 million floats, and steps beside a sleep')
    .option(
      '--estimate',
      'instead: what steps take on 8, 64 and 512 machines, by the model of docs/scaling.md',
    )
    .option('--quick', 'small sizes: shows that everything runs')
    .option('--json', 'print JSON instead of a table')
    .action(({ json, quick, estimate }: Options & { estimate?: boolean }) => {
      const told = <T>(results: T, table: (results: T) => string) =>
        print(json ? JSON.stringify(results) : table(results))
      if (estimate) told(estimateRanks(), estimateRanksTable)
      else told(benchRanks({ quick }), ranksTable)
    })
  program
    .command('estimate')
    .description(
      'what training steps would take on cards that are not at hand, by the cost model; needs no device',
    )
    .option('--json', 'print JSON instead of a table')
    .action(async ({ json }: Options) => {
      const made = await estimates()
      print(json ? JSON.stringify(made) : estimateTable(made))
    })
  program
    .command('preprocess')
    .description('time and peak memory of preprocessing raw files of any size; needs Linux, and no GPU')
    .requiredOption('--folder <folder>', 'for raw files and tables; 30 million rows take 10 GB on the way')
    .option('--rows <count>', 'lines of training.txt', wholeNumber(100), 1_000_000)
    .option('--json', 'print JSON instead of a line')
    .action(async ({ folder, rows, json }: { folder: string; rows: number; json?: boolean }) => {
      const result = await benchPreprocess(folder, rows)
      const { seconds, peakMiB } = result
      print(
        json
          ? JSON.stringify(result)
          : `${rows} rows in ${seconds.toFixed(1)} s, at most ${peakMiB.toFixed(0)} MiB resident`,
      )
    })
  try {
    await program.parseAsync(args, { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const called = error instanceof UsageError
    process.stderr.write(
      `error: ${error instanceof Error ? (called ? error.message : error.stack) : error}\n`,
    )
    return called ? 2 : 1
  }
}
