// The same work by several libraries, in turns: ours, theirs, ours, theirs …, so that whatever else the machine does
// falls on all of them. A figure stands beside the losses it produced, and one whose losses differ does not count.
import { formatTable } from '../../src/cli/table.ts'
import type { Gpu } from '../../src/gpu/index.ts'
import { TextTabularModel } from '../../src/nn/index.ts'
import { type StepSize, stepModel } from '../models.ts'
import { digits } from '../report.ts'
import { train } from './ours.ts'
import { type Answer, findPeers, Peer } from './peer.ts'
import { trainWork } from './work.ts'

export interface CompareOptions {
  /** The notebook's own size too: gigabytes of memory. */
  full?: boolean
  /** Rows whose name contains it. */
  filter?: string
  /** Peers whose name contains it. */
  peer?: string
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
  /** Whether `error` is within the bound; a fast wrong answer does not count. */
  counts: boolean
}

/** Steps of a turn, and turns after a first one of warm-up. */
const TURNS: Record<StepSize, { steps: number; turns: number }> = {
  tiny: { steps: 4, turns: 7 },
  small: { steps: 2, turns: 4 },
  full: { steps: 1, turns: 3 },
}
const WARM_UP = 2
const LOSS_BOUND = 1e-3
/** The most milliseconds that a peer's answer may take. */
const LIMIT = 60_000

/** One side's turns, in milliseconds of one step or call. */
export interface Side {
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
) {
  for (let turn = 0; turn <= turns; turn++) {
    for (const each of sides.filter(({ failure }) => !failure)) {
      const n = turn ? count : warmUp
      const { error, ms, losses } = await each.run(n)
      if (error) each.failure = error.split('\n')[0]!
      else if (turn) each.times.push(ms! / n)
      each.losses.push(...(losses ?? []))
    }
  }
}

async function openPeers({ peer = '', print, json }: CompareOptions): Promise<Peer[]> {
  const say = (line: string) => (json ? void process.stderr.write(`${line}\n`) : print(line))
  const peers: Peer[] = []
  for (const found of findPeers().filter(({ name }) => name.includes(peer))) {
    if (found.missing) {
      say(`${found.name}: ${found.missing}`)
      continue
    }
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
  const { filter = '', full = false, json = false, print } = options
  const sizes: StepSize[] = full ? ['tiny', 'small', 'full'] : ['tiny', 'small']
  const results: Compared[] = []
  const peers = await openPeers(options)
  try {
    for (const size of sizes.filter(size => `step.${size}`.includes(filter))) {
      const { rows, failures } = await compareSteps(gpu, peers, size, options)
      results.push(...rows)
      if (json) for (const row of rows) print(JSON.stringify(row))
      else print(`\n${stepsTable(rows)}`)
      for (const failure of failures) json ? process.stderr.write(`${failure}\n`) : print(failure)
    }
  } finally {
    for (const peer of peers) peer.close()
  }
  return results
}

async function compareSteps(gpu: Gpu, peers: Peer[], size: StepSize, { quick }: CompareOptions) {
  const { steps: count, turns } = quick ? { steps: 1, turns: 1 } : TURNS[size]
  const built = stepModel(size)
  const model = new TextTabularModel(built.config)
  const work = trainWork(built, model, WARM_UP + count * turns)
  const job = train(gpu, model, work)
  const sides = [side('kernelgrad', job.run)]
  for (const peer of peers) {
    const made = side(peer.name, count => peer.ask({ do: 'run', count }))
    made.failure = (await peer.ask({ do: 'train', work })).error
    sides.push(made)
  }
  await takeTurns(sides, { warmUp: WARM_UP, count, turns })
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
  const failures = sides.flatMap(({ variant, failure }) => (failure ? [`${variant} failed: ${failure}`] : []))
  return { rows, failures }
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

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
