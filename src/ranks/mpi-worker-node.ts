// The thread that calls MPI. Nothing it does waits for another rank but MPI's start and end, so that it goes on giving signs of life
// and hears of failures while the training thread computes, compiles or evaluates for as long as it likes. Every rank tells the next one
// each second that it is there; who no longer hears from the one before says so to all. Data goes straight from and to the training
// thread's memory.
import { writeSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import koffi from 'koffi'
import { RankError } from '../errors.ts'
import { expectAlike, type Head, OPERATIONS } from './link.ts'
import { memory, openMpi } from './mpi-library.ts'
import { type Answer, LAST, type Order, type Span, type Start } from './mpi-thread.ts'

const { family, path, version, lost, wait, last }: Start = workerData
const flags = new Int32Array(last, 0, 4)
const say = (answer: Answer, transfer: ArrayBuffer[] = []) => parentPort?.postMessage(answer, transfer)

/** Messages longer than this go in pieces: MPI counts bytes in 31 bits, and what has come shows that the other side moves. */
const PIECE = 4 * 1024 * 1024
const SECOND = 1000
/** Seconds in which a failed process may end by itself, after saying why. */
const GRACE = 6
const [BEAT, BYE, FAILURE] = [1, 2, 3]
const [HEAD, DATA] = [1, 2]

const mpi = openMpi(koffi, family, path)
const { rank, size } = mpi.init()
const [data, control] = [mpi.channel(), mpi.channel()]
const [before, after] = [(rank + size - 1) % size, (rank + 1) % size]
const others = Array.from({ length: size - 1 }, (_, i) => (rank + 1 + i) % size)

/** The one that a launcher's user hears: rank 0, unless it is the one that is lost. */
const speaker = (lostRank?: number) => (lostRank === 0 ? 1 : 0)
let failure: { rank: number; message: string; speaks: boolean } | undefined
let leaving = false
let left = false

// Control: signs of life, farewells, failures.

/** Messages on their way, whose memory has to stay. */
const letters = new Map<BigInt64Array | Int32Array, Uint8Array>()
let heard = true
let missed = 0
let farewell = false
let beat: BigInt64Array | Int32Array | undefined

function write(to: number, tag: number, text = ''): BigInt64Array | Int32Array {
  const bytes = memory(Math.max(1, Buffer.byteLength(text)))
  Buffer.from(bytes.buffer).write(text)
  const request = mpi.requests(1)
  mpi.send(koffi.address(bytes), bytes.length, to, tag, control, koffi.address(request))
  letters.set(request, bytes)
  return request
}

function correspond(): void {
  const index = new Int32Array(memory(4).buffer)
  for (const request of letters.keys()) if (mpi.ended(1, request, index) !== 0) letters.delete(request)
  for (let got = mpi.take(control); got; got = mpi.take(control)) {
    if (got.from === before) heard = true
    if (got.tag === BYE) farewell = true
    if (got.tag === FAILURE) {
      const told = JSON.parse(new TextDecoder().decode(got.bytes)) as {
        rank: number
        message: string
        lost: boolean
      }
      accept(told.rank, told.message, told.lost)
    }
  }
}

/** Takes in that the run is over. */
function accept(from: number, message: string, isLost: boolean): void {
  if (failure) return
  failure = { rank: from, message, speaks: rank === speaker(isLost ? from : undefined) }
  say({ type: 'failed', ...failure })
  setTimeout(() => end(1, true), GRACE * SECOND)
  soon()
}

/** Tells all ranks, the training thread last. */
function fail(from: number, message: string, isLost = false): void {
  if (failure || left) return
  const told = JSON.stringify({ rank: from, message: message.slice(0, 3000), lost: isLost })
  for (const other of others) if (!(isLost && other === from)) write(other, FAILURE, told)
  accept(from, message, isLost)
}

/** Ends the process, and with it all ranks. */
function end(code: number, byForce = false): void {
  if (left) return
  if (byForce && failure?.speaks) writeSync(2, `error: ${failure.message}\n`)
  mpi.abort(code || 1)
}

/** Once a second. What counts are one's own seconds: a process that stood still itself blames nobody. */
function tick(): void {
  guarded(() => {
    correspond()
    if (failure || left) return
    if (!beat || !letters.has(beat)) beat = leaving ? beat : write(after, BEAT)
    missed = heard || farewell ? 0 : missed + 1
    heard = false
    if (missed >= lost)
      fail(
        before,
        `rank ${before} has given no sign of life for ${lost} seconds: it was stopped or ended, or its machine is out of reach`,
        true,
      )
    if (trade && ++trade.seconds >= wait && trade.awaited.size) {
      const [late = rank] = trade.awaited
      fail(
        late,
        `rank ${late} lives, and has not come to ${trade.head.operation} of the others for ${wait} seconds`,
      )
    }
  })
}

// Trades: first everyone's head, with how much will follow, then the data.

interface Trade {
  head: Head
  into: readonly (Span | undefined)[]
  requests: BigInt64Array | Int32Array
  count: number
  /** By request: whose head it brings, or -1. */
  brings: number[]
  open: number
  /** Ranks whose head has not come. */
  awaited: Set<number>
  heads: Float64Array
  own: Float64Array
  came: (Uint8Array | undefined)[]
  seconds: number
  moved: number
}
const WORDS = 4
let trade: Trade | undefined

function begin({ call, operation, length, parts, into }: Order & { type: 'trade' }): void {
  const head = { call, operation, length }
  const [heads, own] = [new Float64Array(size * WORDS), new Float64Array(size * WORDS)]
  trade = {
    ...{ head, into, heads, own, requests: mpi.requests(4 * size), count: 0, brings: [], open: 0 },
    ...{ awaited: new Set(others), came: Array(size).fill(undefined), seconds: 0, moved: performance.now() },
  }
  for (let to = 0; to < size; to++)
    own.set([call, OPERATIONS.indexOf(operation), length, (parts[to] as Span).bytes], to * WORDS)
  heads.set(own.subarray(rank * WORDS, (rank + 1) * WORDS), rank * WORDS)
  const [to, from] = [koffi.address(own), koffi.address(heads)]
  const bytes = WORDS * 8
  for (const other of others) {
    const offset = BigInt(other * bytes)
    mpi.receive(from + offset, bytes, other, HEAD, data, slot(other))
    mpi.send(to + offset, bytes, other, HEAD, data, slot())
  }
  for (const other of others)
    pieces(parts[other] as Span, (address, count) => mpi.send(address, count, other, DATA, data, slot()))
}

/** Where the next request goes. */
function slot(brings = -1): bigint {
  const now = trade as Trade
  if (now.count === now.requests.length) {
    const more = mpi.requests(2 * now.count)
    more.set(now.requests as never)
    now.requests = more
  }
  now.brings.push(brings)
  now.open++
  return koffi.address(now.requests) + BigInt(now.count++ * now.requests.BYTES_PER_ELEMENT)
}

function pieces({ address, bytes }: Span, each: (address: bigint, bytes: number) => void): void {
  for (let at = 0; at < bytes; at += PIECE) each(address + BigInt(at), Math.min(PIECE, bytes - at))
}

/** All heads are there: places are made for what follows. */
function receive(now: Trade): void {
  const heads = Array.from({ length: size }, (_, from): Head => {
    const [call = 0, operation = 0, length = 0] = now.heads.subarray(from * WORDS)
    return { call, operation: OPERATIONS[operation] as Head['operation'], length }
  })
  expectAlike(heads)
  for (const other of [...others].reverse()) {
    const bytes = now.heads[other * WORDS + 3] as number
    let place = now.into[other]
    if (!place) {
      const part = memory(bytes)
      now.came[other] = part
      place = { address: koffi.address(part), bytes }
    }
    if (place.bytes !== bytes)
      throw new RankError(`rank ${other} sends ${bytes} bytes, rank ${rank} expects ${place.bytes}`, {
        rank: other,
      })
    pieces(place, (address, count) => mpi.receive(address, count, other, DATA, data, slot()))
  }
}

let indices = new Int32Array(memory(4096).buffer)

/** Looks what has come. */
function look(now: Trade): void {
  if (indices.length < now.count) indices = new Int32Array(memory(8 * now.count).buffer)
  const ended = now.open ? mpi.ended(now.count, now.requests, indices) : 0
  if (ended > 0) now.moved = performance.now()
  for (let i = 0; i < ended; i++) {
    const other = now.brings[indices[i] as number] as number
    if (other >= 0 && now.awaited.delete(other) && now.awaited.size === 0) receive(now)
  }
  now.open -= Math.max(0, ended)
  if (now.open > 0 || now.awaited.size > 0) return
  trade = undefined
  const came = now.came.flatMap(part => (part ? [part.buffer as ArrayBuffer] : []))
  say({ type: 'traded', parts: now.came }, came)
}

// The loop: without a pause while data moves, every millisecond while others are waited for, some times a second otherwise.

let timer: NodeJS.Timeout | undefined
function soon(): void {
  clearTimeout(timer)
  setImmediate(turn)
}

let round = 0
function turn(): void {
  clearTimeout(timer)
  guarded(() => {
    if (Atomics.load(flags, LAST.ended) === 1) return leaveWithThread()
    if (failure) correspond()
    else if (trade) {
      const { moved } = trade
      for (let i = 0; i < 20 && trade; i++) look(trade)
      // Nothing moved: the processor is better used by the rank that is waited for. Woken by nobody; the time is in milliseconds.
      if (trade && trade.moved === moved) Atomics.wait(flags, LAST.seen, 0, 0.05)
      if (round++ % 64 === 0) correspond()
    } else correspond()
    if (leaving && farewell && letters.size === 0 && !failure) finish()
  })
  if (left) return
  const hot = trade && !failure && performance.now() - trade.moved < 4
  if (hot) setImmediate(turn)
  else timer = setTimeout(turn, trade || leaving || failure ? 1 : 40)
}

function finish(): void {
  clearInterval(clock)
  mpi.finalize()
  left = true
  Atomics.store(flags, LAST.seen, 1)
  Atomics.notify(flags, LAST.seen)
  say({ type: 'left' })
}

let going: number | undefined
/** The training thread has ended, or is about to: the others are told why, and who speaks is let speak. */
function leaveWithThread(): void {
  const [code, length] = [flags[LAST.code] as number, flags[LAST.length] as number]
  const why = new TextDecoder().decode(new Uint8Array(last, LAST.text, length).slice())
  // Who ends with another code has said why.
  const silent = !failure && code === 0
  if (!failure) fail(rank, `rank ${rank} ended with exit code ${code} before the others${why && `: ${why}`}`)
  correspond()
  going ??= performance.now()
  const since = performance.now() - going
  // The one who speaks has spoken; its launcher takes a moment to pass that on.
  const patience = failure?.speaks ? SECOND / 4 : (GRACE - 2) * SECOND
  if ((letters.size === 0 || since > SECOND) && since >= patience) end(code, silent)
}

/** What goes wrong here ends all ranks. */
function guarded(work: () => void): void {
  try {
    work()
  } catch (error) {
    const from = error instanceof RankError && error.rank
    fail(
      from || rank,
      (from === false ? `rank ${rank}: ` : '') + (error instanceof Error ? error.message : String(error)),
    )
  }
}

function expectVersions(): void {
  const WIDTH = 512
  const [mine, all] = [memory(WIDTH), memory(WIDTH * size)]
  new TextEncoder().encodeInto(version, mine)
  mpi.allgather(mine, all)
  const said = Array.from({ length: size }, (_, of) =>
    new TextDecoder().decode(all.subarray(of * WIDTH, (of + 1) * WIDTH)).replace(/\0+$/, ''),
  )
  const other = said.findIndex(text => text !== said[0])
  if (other >= 0)
    throw new RankError(
      `rank 0 runs ${said[0]}, rank ${other} runs ${said[other]}; install the same on all machines`,
      {
        rank: other,
      },
    )
}

const clock = setInterval(tick, SECOND)
guarded(expectVersions)
if (!failure) say({ type: 'ready', rank, size })
parentPort?.on('message', (order: Order) => {
  guarded(() => {
    if (order.type === 'fail') fail(rank, order.reason)
    else if (failure) return
    else if (order.type === 'trade') begin(order)
    else {
      leaving = true
      write(after, BYE)
    }
  })
  soon()
})
turn()
