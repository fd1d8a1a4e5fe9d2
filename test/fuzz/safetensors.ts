/** Safetensors files with tensors of every type, their headers spelled otherwise or damaged. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import {
  parseSafetensors,
  type SafetensorsDtype,
  serializeSafetensors,
  type TensorArray,
  type TensorToWrite,
} from '../../src/data/safetensors.ts'
import { openSafetensors } from '../../src/data/safetensors-file.ts'
import { type RandomStream, randomStream } from '../../src/data/shuffle.ts'
import { plain } from '../support/plain.ts'
import { type Format, type Reading, refusal } from './case.ts'

const ARRAYS = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
} as const

function tensors(random: RandomStream): TensorToWrite[] {
  const dtypes = Object.keys(ARRAYS) as (keyof typeof ARRAYS)[]
  return Array.from({ length: 1 + random.below(5) }, (_, i) => {
    const dtype = dtypes[random.below(dtypes.length)]!
    const shape = Array.from({ length: random.below(4) }, () => random.below(4))
    const size = shape.reduce((n, d) => n * d, 1)
    const bytes = Uint8Array.from({ length: size * ARRAYS[dtype].BYTES_PER_ELEMENT }, () => random.below(256))
    const name = ['weight', 'a.b.0', 'ä\n"quoted"', '__proto__', '7', ''][random.below(6)]! + i
    return {
      name,
      dtype: dtype as SafetensorsDtype,
      shape,
      data: new ARRAYS[dtype](bytes.buffer) as TensorArray,
    }
  })
}

type Entry = { dtype: unknown; shape: unknown; data_offsets: unknown }
type Header = Map<string, unknown>

/** Header pairs and data of a file; keys that stand twice can be written, which no object can hold. */
function takeApart(file: Uint8Array): { header: Header; data: Uint8Array } {
  const length = Number(new DataView(file.buffer).getBigUint64(0, true))
  const json = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as object
  return { header: new Map(Object.entries(json)), data: file.subarray(8 + length) }
}

function putTogether(text: string, data: Uint8Array, claimed?: bigint): Uint8Array {
  const json = new TextEncoder().encode(text)
  const out = new Uint8Array(8 + json.length + data.length)
  new DataView(out.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true)
  out.set(json, 8)
  out.set(data, 8 + json.length)
  return out
}

const textOf = (header: Header) =>
  `{${[...header].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`

/** Every character of the texts as an escape. */
const escaped = (text: string) =>
  text.replace(/"((?:[^"\\]|\\.)*)"/g, (_, inner: string) => {
    const raw = JSON.parse(`"${inner}"`) as string
    return `"${Array.from({ length: raw.length }, (_, i) => `\\u${raw.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`
  })

const ODD_NUMBERS = [-1, 0.5, 1e308, 2 ** 53, 2 ** 31, -0, 1e15, '4', null, true, [], {}]
const pick = <T>(list: readonly T[], random: RandomStream): T => list[random.below(list.length)]!

type Verdict = 'equal' | 'refused' | 'careful' | 'any'
type Change = [
  Verdict,
  (parts: { header: Header; data: Uint8Array; file: Uint8Array }, random: RandomStream) => Uint8Array,
]

function entryOf(header: Header, random: RandomStream): Entry {
  const entries = [...header].filter(([name]) => name !== '__metadata__')
  return entries[random.below(entries.length)]![1] as Entry
}

const CHANGES: Record<string, Change> = {
  'nothing changed': ['equal', ({ file }) => file],
  'other white space': [
    'equal',
    ({ header, data }, random) =>
      putTogether(
        JSON.stringify(Object.fromEntries(header), null, 1 + random.below(4)) + ' '.repeat(random.below(20)),
        data,
      ),
  ],
  'other order': ['equal', ({ header, data }) => putTogether(textOf(new Map([...header].reverse())), data)],
  'escaped names': ['equal', ({ header, data }) => putTogether(escaped(textOf(header)), data)],
  metadata: [
    'equal',
    ({ header, data }) =>
      putTogether(textOf(new Map([['__metadata__', { format: 'pt', '': 'x' }], ...header])), data),
  ],
  'cut short': ['refused', ({ file }, random) => file.slice(0, random.below(file.length))],
  'bytes behind': ['refused', ({ file }) => Uint8Array.from([...file, 0])],
  'another header length': [
    'refused',
    ({ header, data }, random) => {
      const text = textOf(header)
      const length = BigInt(new TextEncoder().encode(text).length)
      const others = [length - 1n, length + 1n, 0n, 1n, 2n ** 31n, 2n ** 40n, 2n ** 63n, 2n ** 64n - 1n]
      return putTogether(text, data, pick(others, random))
    },
  ],
  'metadata of another kind': [
    'refused',
    ({ header, data }, random) =>
      putTogether(
        textOf(new Map([['__metadata__', pick([1, 'x', [], { a: 1 }, null, true], random)], ...header])),
        data,
      ),
  ],
  'another dtype': [
    'any',
    ({ header, data }, random) => {
      const entry = entryOf(header, random)
      entry.dtype = pick(
        [...Object.keys(ARRAYS), 'BOOL', 'F8_E4M3', 'f32', '', 4, null, 'constructor'],
        random,
      )
      return putTogether(textOf(header), data)
    },
  ],
  'an odd number in a shape': [
    // Nothing times anything is nothing: such a shape is as good as the one before.
    'any',
    ({ header, data }, random) => {
      const entry = entryOf(header, random)
      const shape = entry.shape as unknown[]
      if (shape.length) shape[random.below(shape.length)] = pick(ODD_NUMBERS, random)
      else entry.shape = pick(ODD_NUMBERS, random)
      return putTogether(textOf(header), data)
    },
  ],
  'an odd number in offsets': [
    'careful',
    ({ header, data }, random) => {
      const offsets = entryOf(header, random).data_offsets as unknown[]
      const at = random.below(2)
      const other = random.below(2)
        ? (offsets[at] as number) + pick([-1, 1, 4], random)
        : pick(ODD_NUMBERS, random)
      offsets[at] = other
      return putTogether(textOf(header), data)
    },
  ],
  'offsets of another tensor': [
    'any',
    ({ header, data }, random) => {
      entryOf(header, random).data_offsets = entryOf(header, random).data_offsets
      return putTogether(textOf(header), data)
    },
  ],
  'a tensor lost': [
    'any',
    ({ header, data }, random) => {
      header.delete(pick([...header.keys()], random))
      return putTogether(textOf(header), data)
    },
  ],
  'a name twice': [
    'refused',
    ({ header, data }, random) => {
      const [name, entry] = pick([...header], random)
      return putTogether(`{${JSON.stringify(name)}:${JSON.stringify(entry)},${textOf(header).slice(1)}`, data)
    },
  ],
  'a key lost, or one more': [
    'any',
    ({ header, data }, random) => {
      const entry = entryOf(header, random) as unknown as Record<string, unknown>
      if (random.below(2)) delete entry[pick(Object.keys(entry), random)]
      else entry.more = 1
      return putTogether(textOf(header), data)
    },
  ],
  'flipped bits in the header': [
    'any',
    ({ file }, random) => {
      const out = file.slice()
      const length = Number(new DataView(out.buffer).getBigUint64(0, true))
      for (let n = 1 + random.below(3); n > 0; n--) out[random.below(8 + length)]! ^= 1 << random.below(8)
      return out
    },
  ],
  'other JSON': [
    'refused',
    ({ data }, random) =>
      putTogether(pick(['', '[]', 'null', '1', '"a"', '{', '[[[['.repeat(9999), '{"a":1}'], random), data),
  ],
}

const KINDS = Object.keys(CHANGES)

type Tensors = Record<string, unknown>

/** A file whose tensors all fit: the header's JSON as an object in memory, and through the file system. */
async function readBoth(bytes: Uint8Array, faults: string[]): Promise<Tensors | string> {
  const out: Tensors = {}
  let refused: string | undefined
  try {
    for (const [name, { dtype, shape, data }] of parseSafetensors(bytes, 'case.safetensors').tensors)
      out[`s${name}`] = [dtype, shape, Array.from(data as ArrayLike<number>, plain)]
  } catch (error) {
    refused = refusal(error, faults, 'parseSafetensors')
  }
  const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-fuzz-'))
  try {
    const path = join(folder, 'case.safetensors')
    writeFileSync(path, bytes)
    const streamed: Tensors = {}
    try {
      const file = await openSafetensors(path)
      try {
        for (const [name, { dtype, shape }] of file.tensors)
          streamed[`s${name}`] = [
            dtype,
            shape,
            Array.from((await file.read(name)) as ArrayLike<number>, plain),
          ]
      } finally {
        await file.close()
      }
      if (refused !== undefined) faults.push('openSafetensors reads what parseSafetensors refuses')
      else if (!isDeepStrictEqual(streamed, out)) faults.push('openSafetensors and parseSafetensors differ')
    } catch (error) {
      const message = refusal(error, faults, 'openSafetensors')
      if (refused === undefined)
        faults.push(`openSafetensors refuses what parseSafetensors reads: ${message}`)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  return refused ?? out
}

const baseOf = (seed: number, number: number) => serializeSafetensors(tensors(randomStream(seed, number, 2)))

export const safetensors: Format = {
  name: 'safetensors',
  oracle: true,
  async make(seed, number) {
    const random = randomStream(seed, number, 3)
    const kind = KINDS[number % KINDS.length]!
    const file = baseOf(seed, number)
    const bytes = CHANGES[kind]![1]({ ...takeApart(file), file }, random)
    return { kind, base: `${seed}/${number}`, name: 'case.safetensors', bytes }
  },
  async read({ kind, base, bytes }): Promise<Reading> {
    const faults: string[] = []
    const [seed, number] = base.split('/').map(Number)
    const old = await readBoth(baseOf(seed!, number!), faults)
    const now = await readBoth(bytes, faults)
    const equal = isDeepStrictEqual(now, old)
    const [verdict] = CHANGES[kind]!
    if (typeof now === 'string') {
      if (verdict === 'equal') faults.push(`refuses what is right: ${now}`)
      return { outcome: 'refused', faults, refusals: { '': now } }
    }
    if (verdict === 'refused') faults.push('reads a damaged file as a whole one')
    if (!equal && verdict !== 'any') faults.push('reads other values')
    return { outcome: equal ? 'equal' : 'other', faults, values: now }
  },
}
