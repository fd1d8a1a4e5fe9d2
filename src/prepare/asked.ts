// What is asked of columns, by options or in an edited features.json; checked before anything is read.
import * as v from 'valibot'
import { closest } from '../check.ts'
import { count, oneOf, parseStrict, strict, text } from '../config/schema.ts'
import { ConfigError, DataError } from '../errors.ts'
import { ROLES } from './document.ts'
import { DATE_FORMATS, type DateFormat } from './values.ts'

const why = v.optional(text)
const schemas = {
  label: strict({ role: v.literal('label') }),
  category: strict({
    role: v.literal('category'),
    /** Codes by hash instead of by a list: for values that are ever new. */
    hash_buckets: v.optional(count),
    /** Rows that a category needs for a code of its own. */
    least_count: v.optional(count),
    date_format: v.optional(oneOf(DATE_FORMATS)),
  }),
  number: strict({
    role: v.literal('number'),
    scale: v.optional(oneOf(['standard', 'quantiles', 'none'])),
    impute: v.optional(oneOf(['mean', 'median'])),
  }),
  date: strict({ role: v.literal('date'), date_format: v.optional(oneOf(DATE_FORMATS)) }),
  text: strict({ role: v.literal('text'), max_tokens: v.optional(count) }),
  weight: strict({ role: v.literal('weight') }),
  ignore: strict({ role: v.literal('ignore'), why }),
}

/** What a column is to be: its role, and how it is learned. */
export type AskedColumn =
  | { role: 'label' }
  /** `hash_buckets`: codes by hash, instead of by a list; `least_count`: rows that a category needs for a code of its own. */
  | {
      role: 'category'
      hash_buckets?: number | undefined
      least_count?: number | undefined
      date_format?: DateFormat | undefined
    }
  | {
      role: 'number'
      scale?: 'standard' | 'quantiles' | 'none' | undefined
      impute?: 'mean' | 'median' | undefined
    }
  | { role: 'date'; date_format?: DateFormat | undefined }
  | { role: 'text'; max_tokens?: number | undefined }
  | { role: 'weight' }
  | { role: 'ignore'; why?: string | undefined }

/**
 * Checks what is asked of columns.
 * @throws ConfigError naming column and key.
 */
export function parseAsked(given: unknown, where: string): Record<string, AskedColumn> {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new ConfigError(`${where}: expected an object of columns by name`)
  const columns = Object.entries(given).map(([name, one]): [string, AskedColumn] => {
    const at = `${where}: ${name}`
    const { role } = parseStrict(v.looseObject({ role: oneOf(ROLES) }), one, at)
    return [name, parseStrict(schemas[role], one, at) as AskedColumn]
  })
  return Object.fromEntries(columns)
}

/** @throws DataError naming the nearest column where there is none of the name */
export function expectColumn(name: string, there: readonly string[], what: string): void {
  if (there.includes(name)) return
  const near = closest(name, there)
  throw new DataError(
    `there is no column '${name}' for ${what}${near === undefined ? '' : `; the nearest is '${near}'`}; columns: ${there.join(', ')}`,
  )
}
