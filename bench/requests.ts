// Rows scored one by one: the demo's model in this process, beside PyTorch's where it is asked for, and behind HTTP under load.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import { formatTable } from '../src/cli/table.ts'
import { openGpu } from '../src/gpu/index.ts'
import { Scorer } from '../src/serve/index.ts'
import { percentile } from '../src/serve/latency.ts'
import { findPeers, Peer } from './compare/peer.ts'
import { type DemoRow, demoRows, saveDemo } from './requests-model.ts'
import { type Soaked, soak } from './requests-soak.ts'

/** What to measure. */
export interface RequestsOptions {
  /** Fewer requests: shows that everything runs. */
  quick?: boolean
  /** PyTorch beside it, which starts Python. */
  peer?: boolean
  /** Instead of the rest: so many minutes of load with faults. */
  soak?: number
  /** Clients at once. */
  clients?: number
}

export interface RequestsResult {
  adapter: string
  /** A row by `predictRows`, in this process: milliseconds. */
  alone?: { p50: number; p99: number; rows: number }
  /** The same by PyTorch, eagerly, in turns with it. */
  peer?: { version: string; p50: number; p99: number; error: number }
  /** Of `kernelgrad serve`, a client that waits for each answer. */
  http?: { startMs: number; firstMs: number; p50: number; p99: number; firstByP50: number }
  load?: { clients: number; seconds: number; perSecond: number; p50: number; p99: number; failed: number }
  soaked?: Soaked
}

// Seen from dist/bench.
const COMMAND = fileURLToPath(new URL('../../bin/kernelgrad.js', import.meta.url))
const SIZES = { turns: 12, rows: 25, requests: 300, seconds: 10 }
const QUICK = { turns: 2, rows: 3, requests: 10, seconds: 1 }

export async function benchRequests(options: RequestsOptions): Promise<RequestsResult> {
  const { quick = false, clients = 64 } = options
  const size = quick ? QUICK : SIZES
  const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-requests-'))
  try {
    const rows = demoRows(256, 1)
    const gpu = await openGpu()
    const adapter = gpu.adapter.line
    const model = join(folder, 'model')
    const work = await saveDemo(gpu, model, rows)
    if (options.soak !== undefined) {
      await saveDemo(gpu, join(folder, 'other'), rows, 0.09)
      gpu.close()
      return { adapter, soaked: await soak({ folder, rows, clients, minutes: options.soak }) }
    }
    const scored = await alone(await Scorer.open(model, { gpu }), rows, size, options.peer ? work : undefined)
    gpu.close()
    const server = await Server.start(model)
    try {
      const http = await oneByOne(server, rows, size.requests)
      const load = await underLoad(server.url, rows, clients, size.seconds)
      return { adapter, ...scored, http, load }
    } finally {
      await server.end()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const sorted = (times: number[]) => Float64Array.from(times).sort()
const figures = (times: number[]) => {
  const order = sorted(times)
  return { p50: percentile(order, 0.5), p99: percentile(order, 0.99) }
}

/** Ours and theirs in turns, so that whatever else the machine does falls on both. */
async function alone(
  scorer: Scorer,
  rows: readonly DemoRow[],
  { turns, rows: perTurn }: typeof SIZES,
  work: object | undefined,
): Promise<Pick<RequestsResult, 'alone' | 'peer'>> {
  const found = work && findPeers().find(({ name }) => name === 'PyTorch')!
  if (found?.missing) throw new Error(`PyTorch: ${found.missing}`)
  const peer = found && (await Peer.start(found, 120_000))
  try {
    if (peer) await told(peer, { do: 'score', work: work! })
    await scorer.warmUp()
    const [ours, theirs]: [number[], number[]] = [[], []]
    let error = 0
    for (let turn = 0, next = 0; turn <= turns; turn++) {
      const scores: number[] = []
      for (let i = 0; i < perTurn; i++) {
        const started = performance.now()
        const [scored] = await scorer.predictRows([rows[next++ % rows.length]!])
        if (turn) ours.push(performance.now() - started) // the first turn is warm-up
        scores.push(scored!.probability!)
      }
      if (!peer) continue
      const { times, values } = await told(peer, { do: 'run', count: perTurn })
      if (turn) theirs.push(...times!)
      for (const [i, value] of values!.entries()) error = Math.max(error, Math.abs(value - scores[i]!))
    }
    const result = { alone: { ...figures(ours), rows: ours.length } }
    return peer ? { ...result, peer: { version: peer.version, ...figures(theirs), error } } : result
  } finally {
    peer?.close()
    await scorer.close()
  }
}

async function told(peer: Peer, request: Parameters<Peer['ask']>[0]) {
  const answer = await peer.ask(request)
  if (answer.error) throw new Error(`${peer.name}: ${answer.error}`)
  return answer
}

/** The command in a process of its own. */
class Server {
  readonly #child: ChildProcess
  readonly url: string
  readonly startMs: number

  private constructor(child: ChildProcess, url: string, startMs: number) {
    this.#child = child
    this.url = url
    this.startMs = startMs
  }

  static async start(model: string): Promise<Server> {
    const started = performance.now()
    const child = spawn(process.execPath, [COMMAND, 'serve', '--model', model, '--port', '0', '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const url = await new Promise<string>((resolve, reject) => {
      child.stdout!.once('data', line => resolve(JSON.parse(line).url))
      child.once('exit', code => reject(new Error(`kernelgrad serve ended with ${code}`)))
    })
    return new Server(child, url, performance.now() - started)
  }

  async end(): Promise<void> {
    const ended = new Promise(resolve => this.#child.once('exit', resolve))
    this.#child.kill('SIGTERM')
    await ended
  }
}

/** The first request after it listens, and then one after the other. */
async function oneByOne({ url, startMs }: Server, rows: readonly DemoRow[], requests: number) {
  await warmClient()
  const times: number[] = []
  for (let i = 0; i <= requests; i++) {
    const started = performance.now()
    const answer = await fetch(`${url}/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(rows[i % rows.length]),
    })
    await answer.json()
    if (!answer.ok) throw new Error(`/predict answered ${answer.status}`)
    times.push(performance.now() - started)
  }
  const [firstMs, ...rest] = times as [number, ...number[]]
  const { p50, p99 } = figures(rest)
  return { startMs, firstMs, p50, p99, firstByP50: firstMs / p50 }
}

/** What this side compiles for its first requests is not the server's: another one answers them. */
async function warmClient(): Promise<void> {
  const server = createServer((asked, answer) => {
    asked.resume().on('end', () => answer.setHeader('content-type', 'application/json').end('{}'))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  for (let i = 0; i < 20; i++)
    await (await fetch(`http://127.0.0.1:${port}/predict`, { method: 'POST', body: '{}' })).json()
  server.closeAllConnections()
  server.close()
}

async function underLoad(url: string, rows: readonly DemoRow[], clients: number, seconds: number) {
  const result = await autocannon({
    url,
    connections: clients,
    duration: seconds,
    requests: rows.map(row => ({
      method: 'POST',
      path: '/predict',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(row),
    })),
  })
  const { latency, errors, timeouts, non2xx } = result
  const perSecond = result['2xx'] / result.duration
  return {
    clients,
    seconds: result.duration,
    perSecond,
    p50: latency.p50,
    p99: latency.p99,
    failed: errors + timeouts + non2xx,
  }
}

/** The figures as lines. */
export function requestsTable({ alone, peer, http, load, soaked }: RequestsResult): string {
  const ms = (value: number) => `${value.toFixed(2)} ms`
  const rows: string[][] = []
  if (alone) rows.push(['predictRows, one row', `p50 ${ms(alone.p50)}`, `p99 ${ms(alone.p99)}`])
  if (peer)
    rows.push([
      peer.version,
      `p50 ${ms(peer.p50)}`,
      `p99 ${ms(peer.p99)}`,
      `differs by ${peer.error.toExponential(1)} at most`,
    ])
  if (http) {
    rows.push(['serve, until it listens', `${(http.startMs / 1000).toFixed(1)} s`, ''])
    rows.push([
      'serve, the first request',
      ms(http.firstMs),
      '',
      `${http.firstByP50.toFixed(1)} times the p50 that follows`,
    ])
    rows.push(['serve, one client', `p50 ${ms(http.p50)}`, `p99 ${ms(http.p99)}`])
  }
  if (load)
    rows.push([
      `serve, ${load.clients} clients, ${load.seconds.toFixed(0)} s`,
      `p50 ${ms(load.p50)}`,
      `p99 ${ms(load.p99)}`,
      `${load.perSecond.toFixed(0)} a second, ${load.failed} failed`,
    ])
  if (soaked) {
    const { minutes, answered, lost, faults, memory } = soaked
    const MiB = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`
    rows.push([`soak, ${minutes} min`, `${answered} answered`, `${lost} lost`])
    for (const [fault, count] of Object.entries(faults)) rows.push([fault, String(count), ''])
    for (const { seconds, rss, heapUsed, device } of memory)
      rows.push([
        `after ${seconds.toFixed(0)} s`,
        `resident ${MiB(rss)}`,
        `heap ${MiB(heapUsed)}`,
        `device ${MiB(device)}`,
      ])
  }
  return formatTable(
    ['what', '', '', ''],
    rows.map(row => [...row, '', ''].slice(0, 4)),
  )
}
