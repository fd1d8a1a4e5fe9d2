// Sizes of memory as people write them.
import { ConfigError } from '../errors.ts'

const UNITS: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/** In words, what {@link memoryBytes} takes. */
export const MEMORY_SIZE = "a size of memory with its unit, as '2GB' or '512MiB', or a whole number of bytes"

/** Bytes of a size as `'2GB'`, `'1.5 GiB'` or a whole number of bytes, at least one; undefined for what is none. */
export function memoryBytes(given: unknown): number | undefined {
  const match = typeof given === 'string' ? /^\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?B)\s*$/i.exec(given) : undefined
  const bytes = match ? Math.floor(Number(match[1]) * UNITS[match[2]!.toUpperCase()]!) : given
  return typeof bytes === 'number' && Number.isSafeInteger(bytes) && bytes >= 1 ? bytes : undefined
}

/** @throws ConfigError for what is no size */
export function memorySize(where: string, given: unknown): number {
  const bytes = memoryBytes(given)
  if (bytes !== undefined) return bytes
  const shown = typeof given === 'string' ? `'${given}'` : String(given)
  throw new ConfigError(`${where} is ${shown}, expected ${MEMORY_SIZE}`)
}

/** A size in words. */
export function shownSize(bytes: number): string {
  for (const [unit, name] of [
    [1e9, 'GB'],
    [1e6, 'MB'],
    [1e3, 'kB'],
  ] as const)
    if (bytes >= unit) return `${Math.ceil((bytes / unit) * 10) / 10} ${name}`
  return `${bytes} bytes`
}
