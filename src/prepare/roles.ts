// Which role a column has, where nobody says.
import { DataError } from '../errors.ts'
import { DATE_EXAMPLES } from './encode.ts'
import type { RawKind } from './formats.ts'
import { clockOf, FEW, isAmbiguous, type Seen, typeOf } from './observe.ts'
import type { DateFormat, ValueType } from './values.ts'

/** What a column is to be; `why` says so for one that is left out. */
export interface Choice {
  role: 'category' | 'number' | 'date' | 'text' | 'ignore'
  type: ValueType
  format?: DateFormat | undefined
  why?: string
}

/** What messages need of a column. */
export interface Where {
  name: string
  at: (row: number) => string
}

/** Rows from which on a column can tell the classes apart by more than chance. */
const ENOUGH = 50
/** How what only people read is to be written. */
const READ = {
  number: 'numbers are read as 1234.5, without other signs, spaces and commas',
  date: 'dates are read as 2024-12-31, 31.12.2024 or 12/31/2024, hours from 0 to 23, zones as +02:00',
}
const shown = (value: unknown) => JSON.stringify(String(value).slice(0, 40))

const IDENTIFIER = 'it looks like an identifier: hardly a value stands there twice'

/**
 * The role of a column by what was seen of it.
 * @throws DataError for a column that is mostly numbers or dates, and for dates that may be read two ways, naming the row.
 */
export function chooseRole(seen: Seen, kind: RawKind, { name, at }: Where): Choice {
  const there = seen.rows - seen.missing
  if (seen.rows === seen.nothing) return { role: 'ignore', type: 'string', why: 'it has no value' }
  const typed = typeOf(seen, kind)
  if ('mixed' in typed) {
    const { mixed, odd, of } = typed
    const where = `${at(odd.row)}, column '${name}': value ${shown(odd.value)}`
    if (of === undefined)
      throw new DataError(
        `${where} looks like a ${mixed}; ${READ[mixed]}; write the column so, or say what it is (--role ${name}=category)`,
      )
    throw new DataError(
      `${where}, where ${of} are ${mixed}s; correct it, ` +
        `name it as missing (--missing ${shown(odd.value)}), or say what the column is (--role ${name}=category)`,
    )
  }
  const { type, format } = typed
  if (type === 'date' && isAmbiguous(seen))
    throw new DataError(
      `column '${name}' has dates that may be day or month first; say which: --date-format ${name}=dmy or ${name}=mdy`,
    )
  const leak = whyLeaking(seen)
  if (seen.distinct === 1 && seen.missing === 0)
    return { role: 'ignore', type, format, why: 'it has one value alone' }
  if (leak) return { role: 'ignore', type, format, why: leak }
  if (type === 'date') return { role: 'date', type, format }
  if (type === 'boolean') return { role: 'category', type }
  const unique = seen.distinct >= 0.95 * there && there >= FEW
  if (type === 'number') return { role: 'number', type }
  if (type === 'integer') {
    const id = /(^|[^a-z])(id|key|code|zip|uuid)$/i.test(name) || /[a-z](Id|ID|Code)$/.test(name)
    const clock = clockOf(seen)
    if (clock && !id && /(time|date|stamp|(^|[^a-z])(ts|at|on|day|hour))$/i.test(name))
      return { role: 'date', type: 'date', format: clock }
    if (unique && (id || seen.distinct === there)) {
      const time = clock ? `; if it is a time, --role ${name}=date --date-format ${name}=${clock}` : ''
      return { role: 'ignore', type, why: `${IDENTIFIER}${time}` }
    }
    return { role: id || seen.distinct <= FEW ? 'category' : 'number', type }
  }
  if (seen.words >= 2.5 * there && seen.distinct > FEW) return { role: 'text', type }
  if (unique)
    return seen.words >= 1.5 * there ? { role: 'text', type } : { role: 'ignore', type, why: IDENTIFIER }
  return { role: 'category', type }
}

/** Why a column cannot be known before its class is, or nothing. */
function whyLeaking({ rows, repeated, told, base, distinct }: Seen): string | undefined {
  if (rows < ENOUGH || repeated < rows / 2 || base > 0.99 * rows || distinct > rows / 4) return undefined
  // What stands there once tells nothing either way.
  return told >= 0.999 * repeated ? 'it tells the label: its value is known only afterwards' : undefined
}

/**
 * The type that a column has in a role that was asked for.
 * @throws DataError naming row and value that do not fit it.
 */
export function fitRole(
  role: Choice['role'],
  seen: Seen,
  kind: RawKind,
  { name, at }: Where,
  asked: { format?: DateFormat | undefined; type?: ValueType | undefined },
): Choice {
  const typed = typeOf(seen, kind)
  const type = asked.type ?? ('type' in typed ? typed.type : 'string')
  const fail = (odd: { value: unknown; row: number } | undefined, expected: string): never => {
    const where = odd
      ? `${at(odd.row)}, column '${name}': value ${shown(odd.value)}`
      : `column '${name}' has no value`
    throw new DataError(`${where}, which the role ${role} cannot take: expected ${expected}`)
  }
  if (role === 'ignore') return { role, type: 'string', why: 'as asked' }
  if (role === 'number') {
    if (seen.numbers < seen.rows - seen.nothing) fail(seen.noNumber, 'a finite number')
    if (seen.rows === seen.nothing) fail(undefined, 'a finite number')
    return { role, type: 'number' }
  }
  if (role === 'date') {
    if (seen.rows === seen.nothing) fail(undefined, 'a date')
    if (asked.format) return { role, type: 'date', format: asked.format }
    if ('type' in typed && typed.type === 'date') {
      if (isAmbiguous(seen))
        throw new DataError(
          `column '${name}' has dates that may be day or month first; say which: --date-format ${name}=dmy or ${name}=mdy`,
        )
      return { role, type: 'date', format: typed.format }
    }
    fail(
      seen.noDate ?? seen.noNumber,
      `a date as ${DATE_EXAMPLES.iso}; --date-format names another way to write it, as ${name}=${clockOf(seen) ?? 'dmy'}`,
    )
  }
  if (role === 'category') {
    const format = 'format' in typed ? typed.format : undefined
    return { role, type, ...(type === 'date' ? { format: asked.format ?? format ?? 'iso' } : {}) }
  }
  return { role, type: 'string' }
}
