// MD5 of short texts, half of it: how rows are drawn for the test, the same as DuckDB's md5_number_lower. Source: RFC 1321.

const K = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0)
const SHIFTS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
] as const
/** Bytes that fit into the one block that is hashed here, beside the length. */
const LONGEST = 55

/** The last 64 bits of a short ASCII text's MD5, its low and its high half. */
export function md5Lower(text: string): [low: number, high: number] {
  if (text.length > LONGEST) throw new RangeError(`md5Lower: '${text}' is longer than ${LONGEST} characters`)
  const words = new Int32Array(16)
  const put = (at: number, byte: number) => {
    words[at >> 2]! |= byte << (8 * (at & 3))
  }
  for (let i = 0; i < text.length; i++) put(i, text.charCodeAt(i))
  put(text.length, 0x80)
  words[14] = 8 * text.length
  const start = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476] as const
  let [a, b, c, d]: [number, number, number, number] = [...start]
  for (let i = 0; i < 64; i++) {
    const round = i >> 4
    const [mix, word] =
      round === 0
        ? [(b & c) | (~b & d), i]
        : round === 1
          ? [(d & b) | (~d & c), (5 * i + 1) & 15]
          : round === 2
            ? [b ^ c ^ d, (3 * i + 5) & 15]
            : [c ^ (b | ~d), (7 * i) & 15]
    const sum = (a + mix + K[i]! + words[word]!) | 0
    const by = SHIFTS[round]![i & 3]!
    ;[a, d, c, b] = [d, c, b, (b + ((sum << by) | (sum >>> (32 - by)))) | 0]
  }
  return [(c + start[2]) >>> 0, (d + start[3]) >>> 0]
}
