/** A value as JSON can hold it: what it has no way to say becomes a text that starts with a letter for its kind. */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint')
    return value > -(2n ** 53n) && value < 2n ** 53n ? Number(value) : `n${value}`
  if (typeof value === 'number')
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : `f${Object.is(value, -0) ? '-0' : String(value).replace('Infinity', 'inf').replace('NaN', 'nan')}`
  if (typeof value === 'string') return `s${value}`
  if (value instanceof Date) return `d${value.getTime()}`
  if (value instanceof Uint8Array) return `b${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return value.map(plain)
  return value ?? null
}
