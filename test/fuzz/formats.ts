/** Every format under test, by name. */
import type { Format } from './case.ts'
import { jsonFormats } from './json.ts'
import { parquet } from './parquet.ts'
import { raw } from './raw.ts'
import { safetensors } from './safetensors.ts'

export const FORMATS: Record<string, Format> = Object.fromEntries(
  [parquet, safetensors, ...jsonFormats, raw].map(format => [format.name, format]),
)
