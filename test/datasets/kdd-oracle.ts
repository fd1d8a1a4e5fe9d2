// The preprocessing of raw track-2 files in plain loops over whole files, and small raw files with every oddity to try it on.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readColumns } from '../../src/data/index.ts'
import { randomStream } from '../../src/data/shuffle.ts'

const FILES = ['training.txt', 'titleid_tokensid.txt', 'queryid_tokensid.txt', 'userid_profile.txt'] as const
const COLUMNS = [
  'click',
  'impression',
  'display_url',
  'ad_id',
  'advertiser_id',
  'depth',
  'position',
  'query_id',
  'keyword_id',
  'title_id',
  'description_id',
  'user_id',
  'label',
  'tokenized_title',
  'tokenized_query',
  'gender',
  'age',
]

/** A row as text, so that rows of different sources compare. */
export type Row = string

const asText = (values: unknown[]): Row =>
  values.map(value => (Array.isArray(value) ? `[${value.join(' ')}]` : String(value))).join(' ')

/** The rows of a Parquet file. */
export async function tableRows(path: string): Promise<Row[]> {
  const columns = await readColumns(path, COLUMNS)
  return columns.label!.map((_, i) => asText(COLUMNS.map(name => columns[name]![i])))
}

/** The table before the split, and the sizes. */
export function expectedTable(folder: string, limit: number) {
  const lines = (name: string) =>
    readFileSync(join(folder, name), 'utf8')
      .split(/\r?\n/)
      .filter(Boolean)
      .map(line => line.split('\t'))
  const [training, titles, queries, profiles] = FILES.map(lines)
  const documents = new Map<string, number>()
  const texts = [...titles!, ...queries!]
  for (const [, text] of texts)
    for (const token of new Set(text!.split('|'))) documents.set(token, (documents.get(token) ?? 0) + 1)
  const kept = [...documents].filter(([, n]) => n >= 10 && n <= texts.length / 2).map(([token]) => token)
  const vocabulary = new Map(kept.sort((a, b) => (a < b ? -1 : 1)).map((token, id) => [token, id]))
  const ids = (rows: string[][]) =>
    new Map(
      rows.map(([id, text]) => [
        BigInt(id!),
        text!.split('|').map(token => vocabulary.get(token) ?? vocabulary.size),
      ]),
    )
  const [titleIds, queryIds] = [ids(titles!), ids(queries!)]
  const people = new Map(profiles!.map(([id, ...rest]) => [id === undefined ? 0n : BigInt(id), rest]))
  const orMissing = (text: string | undefined) => (text ? Number(text) : -1)
  const rows = training!
    .slice(0, limit)
    .map(fields => ({
      raw: fields,
      title: titleIds.get(BigInt(fields[9]!)),
      query: queryIds.get(BigInt(fields[7]!)),
      depth: Number(fields[5]),
      categories: {
        gender: orMissing(fields[11] && people.get(BigInt(fields[11]))?.[0]),
        age: orMissing(fields[11] && people.get(BigInt(fields[11]))?.[1]),
        advertiser_id: orMissing(fields[4]),
        user_id: orMissing(fields[11]),
      },
    }))
    .filter(({ title, query }) => title && query)
  const encoders = Object.fromEntries(
    (['gender', 'age', 'advertiser_id', 'user_id'] as const).map(name => {
      const counts = new Map<number, number>()
      for (const { categories } of rows) counts.set(categories[name], (counts.get(categories[name]) ?? 0) + 1)
      const frequent = [...counts].filter(([, n]) => n >= 30).map(([value]) => value)
      const codes = new Map(frequent.sort((a, b) => a - b).map((value, code) => [value, code]))
      const size = codes.size + (counts.size > codes.size ? 1 : 0)
      return [name, { size, code: (value: number) => codes.get(value) ?? codes.size }]
    }),
  )
  const low = rows.reduce((least, { depth }) => Math.min(least, depth), Number.POSITIVE_INFINITY)
  const scale = 1 / (rows.reduce((most, { depth }) => Math.max(most, depth), low) - low || 1)
  const table = rows.map(({ raw, title, query, depth, categories }) => {
    const code = (name: keyof typeof categories) => encoders[name]!.code(categories[name])
    const [click, impression, url, ad, , , position, queryId, keyword, titleId, description] = raw
    return asText([
      ...[click, impression, url, ad].map(value => BigInt(value!)),
      code('advertiser_id'),
      depth * scale + (0 - low * scale),
      ...[position, queryId, keyword, titleId, description].map(value => BigInt(value!)),
      code('user_id'),
      Number(click) > 0 ? 1 : 0,
      title,
      query,
      code('gender'),
      code('age'),
    ])
  })
  const sizes = Object.fromEntries(Object.entries(encoders).map(([name, { size }]) => [name, size]))
  return { table, words: vocabulary.size, sizes }
}

/** Small raw files: skewed, with unknown texts and users, missing values, a token in most texts, 64-bit hashes. */
export function writeOddRaw(folder: string, seed: number, rows: number): void {
  mkdirSync(folder, { recursive: true })
  const random = randomStream(seed)
  const skewed = (n: number) => Math.floor(n * random.uniform() ** 3)
  const newline = seed % 2 ? '\r\n' : '\n'
  const write = (name: string, lines: unknown[][]) =>
    // Every other seed leaves the last line open.
    writeFileSync(
      join(folder, name),
      lines.map(line => line.join('\t')).join(newline) + (seed % 3 ? newline : ''),
    )
  const tokens = (least: number, most: number) =>
    Array.from({ length: least + random.below(most - least + 1) }, () =>
      random.uniform() < 0.2 ? 5 : skewed(120) * 9,
    ).join('|')
  const id = (i: number) => i * 7 + 3
  write(
    'titleid_tokensid.txt',
    Array.from({ length: 90 }, (_, i) => [id(i), tokens(1, 12)]),
  )
  write(
    'queryid_tokensid.txt',
    Array.from({ length: 110 }, (_, i) => [id(109 - i), tokens(1, 4)]),
  )
  write(
    'userid_profile.txt',
    Array.from({ length: 50 }, (_, i) => [
      id(i),
      random.below(3),
      random.uniform() < 0.1 ? '' : random.below(7),
    ]),
  )
  write(
    'training.txt',
    Array.from({ length: rows }, () => {
      const user = random.uniform() < 0.05 ? '' : id(skewed(60))
      const url =
        random.uniform() < 0.5 && seed % 4 ? 2n ** 63n + BigInt(random.bits()) : BigInt(random.bits())
      const advertiser = random.uniform() < 0.03 ? '' : skewed(40)
      const depth = random.uniform() < 0.05 ? '' : seed % 5 ? 1 + random.below(3) : 0
      const click = random.uniform() < 0.2 ? 1 + random.below(2) : 0
      const [query, title] = [id(skewed(115)), id(skewed(95))]
      return [click, 2, url, skewed(900), advertiser, depth, 1, query, skewed(70), title, skewed(80), user]
    }),
  )
}
