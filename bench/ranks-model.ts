// What a step takes on many machines, by a model of its exchange over a network's bandwidth and latency; docs/scaling.md states what it
// takes for granted. On paper.
import { formatTable } from '../src/cli/table.ts'

/** A network between machines with a rank each. */
interface Network {
  name: string
  /** Bytes a second, each way at once, of one machine. */
  bandwidth: number
  /** Seconds from a message's sending to its coming. */
  latency: number
}

const NETWORKS: readonly Network[] = [
  { name: '10 Gbit/s, 50 µs', bandwidth: 1.25e9, latency: 50e-6 },
  { name: '100 Gbit/s, 5 µs', bandwidth: 12.5e9, latency: 5e-6 },
]

/** What a model exchanges, in numbers of 4 bytes. */
interface Exchanged {
  name: string
  /** Parameters with dense gradients. */
  dense: number
  /** Table rows that a rank's batch touches, and how wide they are. */
  rows: readonly { touched: number; width: number; rows: number }[]
}

/** The notebook's model, 2 layers of 768: a batch of 64 texts of 12 tokens touches at most 768 rows of words, and 64 of each category. */
const FULL: Exchanged = {
  name: 'the notebook’s model, 143.6 M parameters',
  dense: 16_125_698,
  rows: [
    { touched: 768, width: 768, rows: 148_598 },
    { touched: 64, width: 64, rows: 202_547 },
    { touched: 64, width: 32, rows: 12_193 },
  ],
}

/** Seconds of the device's work on a step, with 64 rows a rank. */
const DEVICE_SECONDS = [0.1, 1]
/** Bytes a second between device and host, and values that one thread adds a second. */
const STAGING = 8e9
const ADDED = 0.7e9
/** Seconds that a call takes besides: between threads, and for each message. */
const CALL = 0.3e-3
const MESSAGE = 2e-6

type Tables = 'replicated' | 'sharded'

export interface StepEstimate {
  network: string
  tables: Tables
  ranks: number
  deviceSeconds: number
  /** Bytes that a rank sends in a step; as many come. */
  bytes: number
  exchangeSeconds: number
  /** Share of the time in which the device works: rows a second are this, times ranks, times those of one. */
  efficiency: number
  /** Tables and both moments, bytes a rank. */
  tableBytes: number
}

/** A trade in which a rank sends so many bytes in all, of so many ranks. */
function trade({ bandwidth, latency }: Network, ranks: number, bytes: number): number {
  return CALL + latency + (ranks - 1) * MESSAGE + bytes / bandwidth
}

/** One step of a model. */
function estimateStep(
  { dense, rows }: Exchanged,
  network: Network,
  tables: Tables,
  ranks: number,
  deviceSeconds: number,
): StepEstimate {
  const share = (ranks - 1) / ranks
  const half = 4 * dense * share
  // To the host, slices out, added, sums out, and back to the device.
  let exchangeSeconds = 2 * trade(network, ranks, half) + (2 * 4 * dense) / STAGING + dense / ADDED
  let bytes = 2 * half
  const ids = rows.reduce((sum, { touched }) => sum + 4 * touched, 0)
  const values = rows.reduce((sum, { touched, width }) => sum + 4 * touched * width, 0)
  if (tables === 'replicated') {
    // Everyone's rows to everyone; each merges all of them.
    const sent = (ranks - 1) * (ids + values)
    exchangeSeconds += trade(network, ranks, sent) + (ranks * values) / STAGING + (ranks * values) / 4 / ADDED
    bytes += sent
  } else {
    // Ids to the owners, rows from them before the step, gradients to them after it.
    const sent = share * (ids + 2 * values)
    exchangeSeconds +=
      trade(network, ranks, share * ids) + 2 * trade(network, ranks, share * values) + (4 * values) / STAGING
    exchangeSeconds += values / 4 / ADDED
    bytes += sent
  }
  const all = rows.reduce((sum, table) => sum + 3 * 4 * table.rows * table.width, 0)
  return {
    ...{ network: network.name, tables, ranks, deviceSeconds, bytes, exchangeSeconds },
    efficiency: deviceSeconds / (deviceSeconds + exchangeSeconds),
    tableBytes: tables === 'sharded' ? all / ranks : all,
  }
}

/** The most ranks, a power of two, of which each still does half of what one alone does: beyond, more machines mostly wait for each other. */
function paysUpTo(network: Network, tables: Tables, deviceSeconds: number): number {
  const pays = (ranks: number) => estimateStep(FULL, network, tables, ranks, deviceSeconds).efficiency >= 0.5
  let ranks = 1
  while (ranks < 65_536 && pays(2 * ranks)) ranks *= 2
  return ranks
}

/** All of them. */
export function estimateRanks(): (StepEstimate & { paysUpTo: number })[] {
  return DEVICE_SECONDS.flatMap(seconds =>
    NETWORKS.flatMap(network =>
      (['replicated', 'sharded'] as const).flatMap(tables => {
        const most = paysUpTo(network, tables, seconds)
        return [8, 64, 512].map(ranks => ({
          ...estimateStep(FULL, network, tables, ranks, seconds),
          paysUpTo: most,
        }))
      }),
    ),
  )
}

export function estimateRanksTable(all: readonly (StepEstimate & { paysUpTo: number })[]): string {
  const head = [
    'device',
    'network',
    'tables',
    'ranks',
    'MB a step',
    'exchange ms',
    'efficiency',
    'MB of tables',
    'pays up to',
  ]
  const cells = all.map(one => [
    `${one.deviceSeconds} s`,
    one.network,
    one.tables,
    one.ranks,
    (one.bytes / 1e6).toFixed(1),
    (one.exchangeSeconds * 1000).toFixed(0),
    `${(one.efficiency * 100).toFixed(0)}%`,
    (one.tableBytes / 1e6).toFixed(0),
    one.paysUpTo >= 65_536 ? 'over 65,536' : one.paysUpTo === 1 ? 'not' : String(one.paysUpTo),
  ])
  return `${FULL.name}; a step of 64 texts a rank\n\n${formatTable(head, cells)}`
}
