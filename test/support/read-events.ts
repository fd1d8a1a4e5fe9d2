// A reader of event files for tests, written from the format and not from the writer: it goes by field numbers and checks both checksums.
import { crc32c } from '../../src/data/crc32.ts'

export interface Event {
  time: number
  step: number
  version?: string
  restart?: boolean
  scalars?: Record<string, number>
  tag?: string
  text?: string
}

type Fields = Map<number, (number | Buffer)[]>

/** The fields of a message by number: bytes of what has a length, 4 and 8 bytes of fixed ones, numbers of varints. */
function fields(message: Buffer): Fields {
  const found: Fields = new Map()
  let at = 0
  const varint = () => {
    let [value, factor] = [0, 1]
    for (;;) {
      const byte = message[at++]!
      value += (byte & 127) * factor
      if (byte < 128) return value
      factor *= 128
    }
  }
  while (at < message.length) {
    const key = varint()
    const wire = key % 8
    let value: number | Buffer
    if (wire === 0) value = varint()
    else {
      const length = wire === 1 ? 8 : wire === 5 ? 4 : varint()
      if (at + length > message.length) throw new Error(`field ${key >> 3} runs over the end`)
      value = message.subarray(at, at + length)
      at += length
    }
    found.set(key >> 3, [...(found.get(key >> 3) ?? []), value])
  }
  return found
}

const bytes = (of: Fields, number: number) => of.get(number)?.[0] as Buffer | undefined

/** Every event of a file. @throws Error where a record's length or checksum is wrong */
export function readEvents(file: Buffer): Event[] {
  const events: Event[] = []
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at))
    check(file.subarray(at, at + 8), file.readUInt32LE(at + 8))
    const data = file.subarray(at + 12, at + 12 + length)
    check(data, file.readUInt32LE(at + 12 + length))
    at += length + 16
    events.push(eventOf(fields(data)))
  }
  return events
}

function check(data: Buffer, masked: number): void {
  const rotated = (masked - 0xa282ead8) >>> 0
  const crc = ((rotated << 15) | (rotated >>> 17)) >>> 0
  if (crc !== crc32c(data)) throw new Error(`checksum ${crc}, expected ${crc32c(data)}`)
}

function eventOf(of: Fields): Event {
  const event: Event = { time: bytes(of, 1)!.readDoubleLE(0), step: (of.get(2)?.[0] as number) ?? 0 }
  if (of.has(3)) event.version = bytes(of, 3)!.toString()
  if (of.has(7)) event.restart = fields(bytes(of, 7)!).get(1)![0] === 1
  if (!of.has(5)) return event
  for (const part of fields(bytes(of, 5)!).get(1)!) {
    const value = fields(part as Buffer)
    const tag = bytes(value, 1)!.toString()
    if (value.has(2)) event.scalars = { ...event.scalars, [tag]: bytes(value, 2)!.readFloatLE(0) }
    else {
      const plugin = fields(bytes(fields(bytes(value, 9)!), 1)!)
      if (bytes(plugin, 1)!.toString() !== 'text') throw new Error(`plugin ${bytes(plugin, 1)}`)
      event.tag = tag
      event.text = bytes(fields(bytes(value, 8)!), 8)!.toString()
    }
  }
  return event
}
