// Tables as people have them, made out of a seed.

/** A linear congruential generator: numbers in [0, 1). */
export function numbersFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return state / 0x80000000
  }
}

const CITIES = ['Paris', 'Lyon', 'Aix, en Provence', 'Zürich "Nord"', '']
const WORDS = 'red blue green shoes boots hat cheap new sale winter summer big small élan 靴 🥾'.split(' ')

/** A row of clicks as JavaScript has it; null where nothing is known. */
export interface ClickRow {
  row_id: number
  city: string | null
  age: number
  price: number | null
  visited: string | null
  member: boolean
  title: string
  site: string
  clicked: string
}

/** Rows whose clicks follow city, price and title. */
export function clickRows(count: number, seed: number): ClickRow[] {
  const draw = numbersFrom(seed)
  const of = <T>(list: readonly T[]) => list[Math.floor(draw() * list.length)]!
  return Array.from({ length: count }, (_, i) => {
    const city = of(CITIES)
    const price = draw() < 0.1 ? null : Number((draw() * 100).toFixed(2))
    const title = Array.from({ length: 3 + Math.floor(draw() * 4) }, () => of(WORDS)).join(' ')
    const day = new Date(Date.UTC(2024, 0, 1) + Math.floor(draw() * 300) * 86_400_000)
    const p =
      0.15 +
      (title.includes('sale') ? 0.4 : 0) +
      (city === 'Paris' ? 0.2 : 0) +
      (price && price < 20 ? 0.2 : 0)
    return {
      row_id: i + 1,
      city: city || null,
      age: 18 + Math.floor(draw() * 60),
      price,
      visited: draw() < 0.05 ? null : day.toISOString().slice(0, 10),
      member: draw() < 0.5,
      title,
      site: 'shop',
      clicked: draw() < p ? 'yes' : 'no',
    }
  })
}

/** Rows as CSV, with names in the first line. */
export function csvOf(rows: readonly object[], { delimiter = ',', end = '\n' } = {}): string {
  const field = (value: unknown) => {
    const text = value === null || value === undefined ? '' : Object.is(value, -0) ? '-0' : String(value)
    return text.includes(delimiter) || /["\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  const names = Object.keys(rows[0]!)
  const lines = [names, ...rows.map(row => names.map(name => (row as Record<string, unknown>)[name]))]
  return lines.map(line => line.map(field).join(delimiter) + end).join('')
}
