// TensorBoard's event files: records with their length and checksums around, each a protocol buffer `Event`. Sources: TensorFlow's
// core/lib/io/record_writer.h, core/util/event.proto, core/framework/summary.proto and tensor.proto.

import { crc32c } from '../../data/crc32.ts'

/** As records carry it: a checksum of data that holds checksums would say little. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

/** A record: length (8 bytes), checksum of the length, data, checksum of the data; little-endian. */
function record(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(data.length + 16)
  const view = new DataView(out.buffer)
  view.setUint32(0, data.length, true)
  view.setUint32(8, maskedCrc32c(out.subarray(0, 8)), true)
  out.set(data, 12)
  view.setUint32(12 + data.length, maskedCrc32c(data), true)
  return out
}

/** What is in an event beside its time and step. */
export type Content =
  | { version: true }
  /** A run goes on: points from this step on that an earlier file holds are of what was lost. */
  | { restart: true }
  | { scalars: Record<string, number> }
  | { text: string; tag: string }

/**
 * An `Event` as a record.
 * @param wallTime seconds since 1970.
 */
export function event(wallTime: number, step: number, content: Content): Uint8Array<ArrayBuffer> {
  const head = [...field(1, double(wallTime)), ...(step ? field(2, varint(step)) : [])]
  return record(Uint8Array.from([...head, ...contentOf(content)]))
}

function contentOf(content: Content): number[] {
  if ('version' in content) return field(3, text('brain.Event:2'))
  if ('restart' in content) return field(7, bytes(field(1, varint(SESSION_START))))
  const values =
    'scalars' in content
      ? Object.entries(content.scalars).map(([tag, value]) => [
          ...field(1, text(tag)),
          ...field(2, float(value)),
        ])
      : [textValue(content.tag, content.text)]
  return field(5, bytes(values.flatMap(value => field(1, bytes(value)))))
}

const SESSION_START = 1
const DT_STRING = 7

/** A `Summary.Value` for the text plugin: a tensor of one string. */
function textValue(tag: string, content: string): number[] {
  const shape = field(2, bytes(field(1, varint(1))))
  const tensor = [...field(1, varint(DT_STRING)), ...field(2, bytes(shape)), ...field(8, text(content))]
  const metadata = field(1, bytes(field(1, text('text'))))
  return [...field(1, text(tag)), ...field(8, bytes(tensor)), ...field(9, bytes(metadata))]
}

/** A value with its wire type. */
interface Encoded {
  wire: 0 | 1 | 2 | 5
  content: number[]
}

const field = (number: number, { wire, content }: Encoded): number[] => [
  ...varint(number * 8 + wire).content,
  ...content,
]

/** Of a whole number from 0 to 2^53. */
function varint(value: number): Encoded {
  const content: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return { wire: 0, content: [...content, rest] }
    content.push((rest % 128) + 128)
  }
}

const bytes = (content: number[]): Encoded => ({
  wire: 2,
  content: [...varint(content.length).content, ...content],
})
const text = (value: string): Encoded => bytes([...new TextEncoder().encode(value)])

function double(value: number): Encoded {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value, true)
  return { wire: 1, content: [...new Uint8Array(view.buffer)] }
}

function float(value: number): Encoded {
  const view = new DataView(new ArrayBuffer(4))
  view.setFloat32(0, value, true)
  return { wire: 5, content: [...new Uint8Array(view.buffer)] }
}
