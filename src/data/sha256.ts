// SHA-256 in pieces: what a browser offers (`crypto.subtle.digest`) takes its input whole. Source: FIPS 180-4.
import type { Hash } from './file-system.ts'

/** First 32 bits of the fractional part of `x`. */
const fraction = (x: number) => ((x - Math.floor(x)) * 2 ** 32) | 0

const PRIMES: number[] = []
for (let n = 2; PRIMES.length < 64; n++) if (PRIMES.every(p => n % p)) PRIMES.push(n)
const K = Int32Array.from(PRIMES, p => fraction(Math.cbrt(p)))
const INITIAL = Int32Array.from(PRIMES.slice(0, 8), p => fraction(Math.sqrt(p)))

const BLOCK = 64
const right = (x: number, n: number) => (x >>> n) | (x << (32 - n))

/** A fresh hash. */
export function sha256(): Hash {
  const state = INITIAL.slice()
  const schedule = new Int32Array(64)
  const rest = new Uint8Array(BLOCK)
  let filled = 0
  let length = 0

  const block = (bytes: Uint8Array, at: number) => {
    for (let i = 0; i < 16; i++) {
      const j = at + 4 * i
      schedule[i] = (bytes[j]! << 24) | (bytes[j + 1]! << 16) | (bytes[j + 2]! << 8) | bytes[j + 3]!
    }
    for (let i = 16; i < 64; i++) {
      const [x, y] = [schedule[i - 15]!, schedule[i - 2]!]
      const s0 = right(x, 7) ^ right(x, 18) ^ (x >>> 3)
      const s1 = right(y, 17) ^ right(y, 19) ^ (y >>> 10)
      schedule[i] = schedule[i - 16]! + s0 + schedule[i - 7]! + s1
    }
    let [a, b, c, d, e, f, g, h] = state as unknown as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    for (let i = 0; i < 64; i++) {
      const choice = (e & f) ^ (~e & g)
      const t1 = (h + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) + choice + K[i]! + schedule[i]!) | 0
      const majority = (a & b) ^ (a & c) ^ (b & c)
      const t2 = ((right(a, 2) ^ right(a, 13) ^ right(a, 22)) + majority) | 0
      h = g
      g = f
      f = e
      e = (d + t1) | 0
      d = c
      c = b
      b = a
      a = (t1 + t2) | 0
    }
    state[0]! += a
    state[1]! += b
    state[2]! += c
    state[3]! += d
    state[4]! += e
    state[5]! += f
    state[6]! += g
    state[7]! += h
  }

  const update = (bytes: Uint8Array) => {
    length += bytes.length
    let at = 0
    if (filled) {
      at = Math.min(BLOCK - filled, bytes.length)
      rest.set(bytes.subarray(0, at), filled)
      filled += at
      if (filled < BLOCK) return
      block(rest, 0)
      filled = 0
    }
    for (; at + BLOCK <= bytes.length; at += BLOCK) block(bytes, at)
    rest.set(bytes.subarray(at))
    filled = bytes.length - at
  }

  return {
    update,
    digest() {
      const bits = new DataView(new ArrayBuffer(8))
      bits.setBigUint64(0, 8n * BigInt(length))
      const zeros = (2 * BLOCK - 9 - filled) % BLOCK
      update(Uint8Array.of(0x80, ...new Uint8Array(zeros), ...new Uint8Array(bits.buffer)))
      return Array.from(state, word => (word >>> 0).toString(16).padStart(8, '0')).join('')
    },
  }
}
