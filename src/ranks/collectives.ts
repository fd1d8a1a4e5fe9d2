// Sums, gathers, exchanges and barriers, made of trades of bytes. A sum moves what a ring's would: every rank gets its slice of all
// ranks' values, adds them up in the order of the ranks, and hands the sums around: 2 (size - 1) / size of the values each way.
import { KernelgradError } from '../errors.ts'
import { expectBytes, expectFloats, expectParts, expectReason } from './given.ts'
import type { Link, Operation } from './link.ts'
import type { Ranks } from './ranks.ts'

/** Up to so many bytes, of all ranks together, everyone sends everything to everyone: half the waits, and the same bits. */
const SMALL = 64 * 1024

/** So many sums are under way at a time: they stay in the processor's nearest cache. */
const BLOCK = 2048

const NOTHING = new Uint8Array(0)

/** The ranks at the other ends of a link. */
export function ranksOver(link: Link): Ranks {
  const { rank, size } = link
  const moved = { sent: 0, received: 0 }
  let calls = 0
  let closed = false
  /** Calls of this rank run one after the other, in the order they were made. */
  let last: Promise<unknown> = Promise.resolve()

  function run<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    if (closed)
      return Promise.reject(new KernelgradError(`ranks: rank ${rank} calls ${operation} after close()`))
    const result = last.then(work)
    last = result.catch(() => undefined)
    return result
  }

  async function trade(
    operation: Operation,
    length: number,
    parts: readonly Uint8Array[],
    into?: readonly (Uint8Array | undefined)[],
  ): Promise<Uint8Array[]> {
    const got = await link.trade({ call: calls++, operation, length }, parts, into)
    for (let other = 0; other < size; other++) {
      if (other === rank) continue
      moved.sent += (parts[other] as Uint8Array).byteLength
      moved.received += (got[other] as Uint8Array).byteLength
    }
    return got
  }

  const toAll = (part: Uint8Array) => Array.from({ length: size }, () => part)

  async function sum(values: Float32Array): Promise<void> {
    const { length } = values
    const whole = bytesOf(values)
    if (whole.byteLength * size <= SMALL) {
      const got = await trade('sum', length, toAll(whole))
      addUp(values, got.map(floatsOf))
      return
    }
    const start = (of: number) => Math.floor((length * of) / size)
    const slices = Array.from({ length: size }, (_, of) => values.subarray(start(of), start(of + 1)))
    const mine = slices[rank] as Float32Array
    const parts = await trade('sum', length, slices.map(bytesOf))
    addUp(mine, parts.map(floatsOf))
    // Every rank has my slice of its own values by now: they are overwritten with sums.
    await trade('sum', length, toAll(bytesOf(mine)), slices.map(bytesOf))
  }

  return {
    rank,
    size,
    moved,
    async sum(values) {
      expectFloats('sum: values', values)
      return run('sum', () => sum(values))
    },
    async gather(bytes) {
      expectBytes('gather: bytes', bytes)
      return run('gather', () => trade('gather', 0, toAll(bytes)))
    },
    async exchange(parts) {
      expectParts('exchange: parts', parts, size)
      const now = [...parts]
      return run('exchange', () => trade('exchange', 0, now))
    },
    async barrier() {
      return run('barrier', async () => void (await trade('barrier', 0, toAll(NOTHING))))
    },
    async abort(reason) {
      expectReason('abort: reason', reason)
      throw link.fail(reason)
    },
    async close() {
      const left = run('close', async () => {
        await trade('close', 0, toAll(NOTHING))
        await link.leave()
      })
      closed = true
      return left
    },
  }
}

/** `into` becomes the sum of the terms, one of which may lie in the same memory; added up in their order, rounded each time. */
function addUp(into: Float32Array, terms: readonly Float32Array[]): void {
  const block = new Float32Array(BLOCK)
  for (let start = 0; start < into.length; start += BLOCK) {
    const end = Math.min(into.length, start + BLOCK)
    const [first, ...others] = terms as [Float32Array, ...Float32Array[]]
    block.set(first.subarray(start, end))
    for (const term of others)
      for (let i = start; i < end; i++) block[i - start] = (block[i - start] as number) + (term[i] as number)
    into.set(block.subarray(0, end - start), start)
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength)
const floatsOf = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  new Float32Array(buffer, byteOffset, byteLength / 4)
