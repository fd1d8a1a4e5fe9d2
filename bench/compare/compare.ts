// The same work by several libraries, in turns: ours, theirs, ours, theirs …, so that whatever else the machine does
// falls on all of them. A figure stands beside the losses it produced, and one whose losses differ does not count.

import { formatTable } from '../../src/cli/table.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { TextTabularModel } from '../../src/models/index.ts'
import { median } from '../../src/testing/index.ts'
import { expectSome } from '../filter.ts'
import { LONG, type StepSize, stepModel } from '../models.ts'
import { digits } from '../report.ts'
import { type Operator, operators } from './operators.ts'
import { train } from './ours.ts'
import { type Answer, findPeers, Peer } from './peer.ts'
import { trainWork } from './work.ts'

export interface CompareOptions {
  /** The notebook's own size too: gigabytes of memory. */
  full?: boolean
  /** The models with long texts instead, and no operators. */
  long?: boolean
  /** Rows whose name contains it. */
  filter?: string
  /** Peers whose name contains it; null for none. */
  peer?: string | null
  json?: boolean
  quick?: boolean
  print: (line: string) => void
}

/** One library on one piece of work. */
export interface Compared {
  name: string
  shape: string
  dtype: 'f32'
  variant: string
  /** Median over the turns of the milliseconds of one step or call. */
  ms: number
  best: number
  /** The median of ours over this one's: above 1 where ours is slower. */
  ratio: number
  /** Of every step, warm-up included. */
  losses?: number[]
  /** Largest relative difference to our losses, or to the float64 oracle. */
  error: number
  gflops?: number
  gbps?: number
  /** Whether `error` is within the bound; a fast wrong answer does not count. */
  counts: boolean
}

/** Steps of a turn, and turns after a first one of warm-up. */
const TURNS: Record<StepSize, { steps: number; turns: number }> = {
  tiny: { steps: 4, turns: 7 },
  small: { steps: 2, turns: 4 },
  full: { steps: 1, turns: 3 },
  'long-narrow': { steps: 2, turns: 3 },
  long: { steps: 1, turns: 3 },
  'long-wide': { steps: 1, turns: 3 },
}
const WARM_UP = 2
const LOSS_BOUND = 1e-3
const OPERATOR_BOUND = 1e-4
/** The most milliseconds that a peer's answer may take: some compile for minutes on a software adapter. */
const LIMIT = 300_000

/** Kernels are compiled in what is asked first, for minutes where a cache is cold. */
const waiting = (peer: string, what: string) =>
  `waiting for ${peer}: ${what}; given up after ${LIMIT / 1000} s`

/** Says what is under way where it does not disturb JSON. */
const teller =
  ({ print, json }: CompareOptions) =>
  (line: string) =>
    json ? void process.stderr.write(`${line}\n`) : print(line)

/** One side's turns, in milliseconds of one step or call. */
interface Side {
  variant: string
  run: (count: number) => Promise<Answer>
  times: number[]
  losses: number[]
  failure?: string
}

const side = (variant: string, run: Side['run']): Side => ({ variant, run, times: [], losses: [] })

/** Takes turns until every side has `turns` of `count` after a first of `warmUp`. */
async function takeTurns(
  sides: Side[],
  { warmUp, count, turns }: { warmUp: number; count: number; turns: number },
  say: (line: string) => void,
) {
  for (let turn = 0; turn <= turns; turn++) {
    for (const each of sides.filter(({ failure }) => !failure)) {
      const n = turn ? count : warmUp
      if (!turn && each.variant !== 'kernelgrad') say(waiting(each.variant, 'its first steps'))
      const { error, ms, losses } = await each.run(n)
      if (error) each.failure = error.split('\n')[0]!
      else if (turn) each.times.push(ms! / n)
      each.losses.push(...(losses ?? []).map(loss => loss ?? Number.NaN)) // JSON has null for NaN
    }
  }
}

async function openPeers(options: CompareOptions): Promise<Peer[]> {
  const { peer = '' } = options
  const say = teller(options)
  const peers: Peer[] = []
  for (const found of findPeers().filter(({ name }) => peer !== null && name.includes(peer))) {
    if (found.missing) {
      say(`${found.name}: ${found.missing}`)
      continue
    }
    say(waiting(found.name, 'its start'))
    const started = await Peer.start(found, LIMIT)
    if (started.failure) say(`${found.name} does not run here: ${started.failure}`)
    else {
      say(`${found.name}: ${started.version}`)
      peers.push(started)
    }
  }
  return peers
}

/** Every library on training steps of the benchmark's models. */
export async function compare(gpu: Gpu, options: CompareOptions): Promise<Compared[]> {
  const { filter = '', full = false, long = false, json = false, print } = options
  const sizes: StepSize[] = long ? LONG : full ? ['tiny', 'small', 'full'] : ['tiny', 'small']
  const made: Record<string, () => Operator> = long ? {} : operators(options.quick)
  const names = [...sizes.map(size => `step.${size}`), ...Object.keys(made).map(name => `${name}.forward`)]
  expectSome(filter, names)
  if (options.peer)
    expectSome(
      options.peer,
      findPeers().map(({ name }) => name),
      '--peer',
    )
  const results: Compared[] = []
  const peers = await openPeers(options)
  try {
    const show = ({ rows, failures }: Outcome, table: (rows: Compared[]) => string) => {
      results.push(...rows)
      if (json) for (const row of rows) print(JSON.stringify(row))
      else print(`\n${table(rows)}`)
      for (const failure of failures) json ? process.stderr.write(`${failure}\n`) : print(failure)
    }
    for (const size of sizes.filter(size => `step.${size}`.includes(filter)))
      show(await compareSteps(gpu, peers, size, options), stepsTable)
    for (const [name, make] of Object.entries(made))
      if (`${name}.forward`.includes(filter))
        show(await compareOperator(gpu, peers, make(), options), operatorTable)
  } finally {
    for (const peer of peers) peer.close()
  }
  return results
}

interface Outcome {
  rows: Compared[]
  /** What went wrong, a line each. */
  failures: string[]
}

/** Asks each peer for a job; one that cannot make it sits this work out. */
async function invite(peers: Peer[], kind: 'train' | 'operator', work: object): Promise<Side[]> {
  const sides: Side[] = []
  for (const peer of peers) {
    const made = side(peer.name, count => peer.ask({ do: 'run', count }))
    made.failure = (await peer.ask({ do: kind, work })).error
    sides.push(made)
  }
  return sides
}

const failuresOf = (sides: Side[]) =>
  sides.flatMap(({ variant, failure }) => (failure ? [`${variant} failed: ${failure}`] : []))

async function compareOperator(
  gpu: Gpu,
  peers: Peer[],
  operator: Operator,
  options: CompareOptions,
): Promise<Outcome> {
  const { quick } = options
  const { work, shape, flops, bytes, expected } = operator
  const job = operator.ours(gpu)
  const sides = [side('kernelgrad', job.run), ...(await invite(peers, 'operator', work))]
  const { count, turns } = quick ? { count: 1, turns: 1 } : { count: 20, turns: 5 }
  await takeTurns(sides, { warmUp: quick ? 1 : 5, count, turns }, teller(options))
  const [ours] = sides as [Side]
  const rows: Compared[] = []
  for (const one of sides) {
    if (one.failure) continue
    const peer = peers.find(({ name }) => name === one.variant)
    const values = peer ? (await peer.ask({ do: 'values' })).values : await job.values()
    // A number that is not one crosses JSON as null.
    const differences = expected.map((e, i) => Math.abs((values?.[i] ?? NaN) - e) / Math.max(1, Math.abs(e)))
    const error = differences.some(Number.isNaN) ? Infinity : Math.max(...differences)
    const made = figures(`${work.name}.forward`, shape, one, ours)
    const rates = { gflops: flops / made.ms / 1e6, gbps: bytes / made.ms / 1e6 }
    rows.push({ ...made, ...rates, error, counts: error <= OPERATOR_BOUND })
  }
  job.dispose()
  gpu.pool.trim()
  for (const peer of peers) await peer.ask({ do: 'end' })
  return { rows, failures: failuresOf(sides) }
}

async function compareSteps(
  gpu: Gpu,
  peers: Peer[],
  size: StepSize,
  options: CompareOptions,
): Promise<Outcome> {
  const { quick } = options
  const { steps: count, turns } = quick ? { steps: 1, turns: 1 } : TURNS[size]
  const built = stepModel(size)
  const model = new TextTabularModel(built.config)
  const work = trainWork(built, model, WARM_UP + count * turns)
  const job = train(gpu, model, work)
  const sides = [side('kernelgrad', job.run), ...(await invite(peers, 'train', work))]
  await takeTurns(sides, { warmUp: WARM_UP, count, turns }, teller(options))
  job.dispose()
  gpu.pool.trim()
  for (const peer of peers) await peer.ask({ do: 'end' })
  const [ours] = sides as [Side]
  const shape = `B ${built.B} S ${built.S} H ${work.dim}, ${model.numParameters()} parameters`
  const rows = sides
    .filter(({ failure }) => !failure)
    .map((one): Compared => {
      const error = Math.max(
        ...one.losses.map((loss, i) => Math.abs(loss - ours.losses[i]!) / ours.losses[i]!),
      )
      return {
        ...figures(`step.${size}`, shape, one, ours),
        losses: one.losses,
        error,
        counts: error <= LOSS_BOUND,
      }
    })
  return { rows, failures: failuresOf(sides) }
}

function figures(name: string, shape: string, one: Side, ours: Side) {
  const ms = median(one.times)
  const best = Math.min(...one.times)
  return {
    name,
    shape,
    dtype: 'f32' as const,
    variant: one.variant,
    ms,
    best,
    ratio: median(ours.times) / ms,
  }
}

function stepsTable(rows: Compared[]): string {
  const headers = [
    'variant',
    'ms a step',
    'best',
    'ours over it',
    'first loss',
    'last loss',
    'differs by',
    'counts',
  ]
  const cells = rows.map(({ variant, ms, best, ratio, losses, error, counts }) => [
    variant,
    digits(ms),
    digits(best),
    digits(ratio),
    losses![0]!.toFixed(5),
    losses!.at(-1)!.toFixed(5),
    error.toExponential(1),
    counts ? 'yes' : 'NO',
  ])
  const { name, shape, losses } = rows[0]!
  return `${name}: ${shape}, ${losses!.length} steps\n${formatTable(headers, cells)}`
}

function operatorTable(rows: Compared[]): string {
  const headers = ['variant', 'ms', 'best', 'ours over it', 'GFLOP/s', 'GB/s', 'wrong by', 'counts']
  const cells = rows.map(({ variant, ms, best, ratio, gflops, gbps, error, counts }) => [
    variant,
    digits(ms),
    digits(best),
    digits(ratio),
    digits(gflops!),
    digits(gbps!),
    error.toExponential(1),
    counts ? 'yes' : 'NO',
  ])
  return `${rows[0]!.name}: ${rows[0]!.shape}\n${formatTable(headers, cells)}`
}
