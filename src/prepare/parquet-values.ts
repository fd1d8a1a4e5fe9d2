// Columns of a Parquet file as the command line's database has them: whole numbers as bigints, dates, times and decimals as texts.
import type { Leaf } from '../data/leaf.ts'
import { type ParquetFile, readColumns, readPlain } from '../data/parquet.ts'
import { DataError } from '../errors.ts'
import type { RawKind } from './formats.ts'

const DAY_MICROS = 86_400_000_000n
const two = (n: number | bigint) => String(n).padStart(2, '0')

/** What a column is to learning, what the database calls its type, and how its stored values become those. */
interface Way {
  kind: RawKind
  type: string
  /** Of stored values; without it they are taken as they are read. */
  text?: (value: never) => unknown
}

const INTEGERS: Record<string, string> = { 8: 'TINYINT', 16: 'SMALLINT', 32: 'INTEGER', 64: 'BIGINT' }
const big = (value: number | bigint) => BigInt(value)

/** How a column of single values is read. */
export function wayOf({ element, meaning }: Leaf): Way {
  const { type, precision, scale, logical_type: logical } = element
  switch (meaning.type) {
    case 'TEXT':
      return { kind: 'text', type: 'VARCHAR' }
    case 'UUID':
      return { kind: 'text', type: 'UUID' }
    case 'INTEGER':
      return { kind: 'integer', type: `${meaning.signed ? '' : 'U'}${INTEGERS[meaning.bits]}` }
    case 'FLOAT16':
      return { kind: 'number', type: 'FLOAT' }
    case 'DATE':
      return { kind: 'date', type: 'DATE', text: (days: number) => dayText(BigInt(days)) }
    case 'TIMESTAMP': {
      const [per, times] = { MILLIS: [1n, 1000n], MICROS: [1n, 1n], NANOS: [1000n, 1n] }[meaning.unit] as [
        bigint,
        bigint,
      ]
      return { kind: 'date', type: 'TIMESTAMP', text: (value: bigint) => momentText((value * times) / per) }
    }
    case 'INT96':
      return { kind: 'date', type: 'TIMESTAMP', text: momentText }
    case 'DECIMAL': {
      const text = (value: number | bigint | Uint8Array) => decimalText(value, meaning.scale)
      return { kind: 'text', type: `DECIMAL(${precision},${scale ?? 0})`, text }
    }
    case 'TIME': {
      const { unit, isAdjustedToUTC } = (logical ?? {}) as { unit?: string; isAdjustedToUTC?: boolean }
      if (unit === 'NANOS') return { kind: 'nested', type: 'TIME_NS' }
      const times = type === 'INT32' ? 1000n : 1n
      const text = (value: number | bigint) =>
        `${clockText(BigInt(value) * times)}${isAdjustedToUTC ? '+00' : ''}`
      return { kind: 'text', type: 'TIME', text }
    }
    case 'NUMBER':
      if (type === 'BOOLEAN') return { kind: 'boolean', type }
      if (type === 'INT32' || type === 'INT64')
        return { kind: 'integer', type: type === 'INT32' ? 'INTEGER' : 'BIGINT' }
      return { kind: 'number', type: type === 'FLOAT' ? 'FLOAT' : 'DOUBLE' }
    case 'JSON':
      return { kind: 'nested', type: 'JSON' }
    case 'BYTES':
      return { kind: 'text', type: 'VARCHAR', text: bytesText }
    default:
      return { kind: 'nested', type: 'INTERVAL' }
  }
}

/**
 * The values of a column of single values, row by row.
 * @throws DataError naming file and column where a value is beyond what can be read.
 */
export async function readValues(file: ParquetFile, leaf: Leaf): Promise<unknown[]> {
  const { kind, text } = wayOf(leaf)
  if (!text) {
    const values = (await readColumns(file, [leaf.name]))[leaf.name]!
    return kind === 'integer'
      ? values.map(value => (value === null ? null : big(value as number | bigint)))
      : values
  }
  const stored = await readPlain(file, leaf)
  return stored.map((value, row) => {
    try {
      return value === null ? null : text(value as never)
    } catch (error) {
      throw new DataError(`${file.name}, row ${row}, column '${leaf.name}': ${(error as Error).message}`, {
        cause: error,
      })
    }
  })
}

function bytesText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new Error(
      `bytes ${Array.from(bytes.subarray(0, 16), byte => byte.toString(16).padStart(2, '0')).join(' ')}, expected UTF-8 text`,
    )
  }
}

function dayText(days: bigint): string {
  const date = new Date(Number(days) * 86_400_000)
  if (Number.isNaN(date.getTime())) throw new Error(`day ${days} since 1970 is beyond the calendar`)
  const year = date.getUTCFullYear()
  const shown = String(year > 0 ? year : 1 - year).padStart(4, '0')
  return `${shown}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}${year > 0 ? '' : ' (BC)'}`
}

function clockText(micros: bigint): string {
  const seconds = micros / 1_000_000n
  const rest = String(micros % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '')
  const clock = [seconds / 3600n, (seconds / 60n) % 60n, seconds % 60n].map(two).join(':')
  return rest ? `${clock}.${rest}` : clock
}

/** As '2024-12-31 23:59:59.5', of microseconds since 1970. */
function momentText(micros: bigint): string {
  const clock = ((micros % DAY_MICROS) + DAY_MICROS) % DAY_MICROS
  return `${dayText((micros - clock) / DAY_MICROS)} ${clockText(clock)}`
}

function decimalText(value: number | bigint | Uint8Array, scale: number): string {
  let whole = value instanceof Uint8Array ? 0n : BigInt(value)
  if (value instanceof Uint8Array) {
    for (const byte of value) whole = (whole << 8n) | BigInt(byte)
    whole = BigInt.asIntN(8 * value.length, whole)
  }
  const digits = String(whole < 0n ? -whole : whole).padStart(scale + 1, '0')
  const point = digits.length - scale
  return `${whole < 0n ? '-' : ''}${digits.slice(0, point)}${scale ? `.${digits.slice(point)}` : ''}`
}
