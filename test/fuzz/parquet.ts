/** Parquet files out of test/golden, changed in what keeps their meaning or damages them, through every public reader. */
import { readdirSync, readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { type FeaturesConfig, featureInputs } from '../../src/config/index.ts'
import { loadDataset, streamChunks } from '../../src/data/dataset.ts'
import { prepareCodec } from '../../src/data/decompress.ts'
import { columnOf, openParquet, type ParquetFile, readColumns } from '../../src/data/parquet.ts'
import { randomStream } from '../../src/data/shuffle.ts'
import { plain } from '../support/plain.ts'
import { type Case, type Format, type Reading, refusal } from './case.ts'
import { DAMAGE } from './parquet-damage.ts'
import { KEEPING } from './parquet-keeping.ts'
import { takeApart } from './parquet-parts.ts'

const FOLDERS = ['test/golden/parquet-kinds', 'test/golden/parquet']
const BASES = FOLDERS.flatMap(folder =>
  readdirSync(folder)
    .filter(name => name.endsWith('.parquet') && !/^(bad_|pandas_index|no_rows)/.test(name))
    .sort()
    .map(name => `${folder}/${name}`),
)
const KINDS = [...Object.keys(KEEPING), ...Object.keys(DAMAGE)]

interface Columns {
  values: Record<string, unknown>
  refusals: Record<string, string>
}

async function readAll(bytes: Uint8Array, faults: string[]): Promise<Columns> {
  const out: Columns = { values: {}, refusals: {} }
  let file: ParquetFile
  try {
    file = await openParquet(new Uint8Array(bytes).buffer, { name: 'case.parquet' })
  } catch (error) {
    out.refusals[''] = refusal(error, faults, 'openParquet')
    return out
  }
  for (const name of new Set(file.columns)) {
    try {
      out.values[name] = (await readColumns(file, [name]))[name]!.map(plain)
    } catch (error) {
      out.refusals[name] = refusal(error, faults, `readColumns ${name}`)
    }
  }
  await readAsDataset(file, out, faults)
  return out
}

/** The number that a plain value, as of test/support/plain.ts, stands for. */
const numberOf = (value: unknown) => Number(typeof value === 'string' ? value.slice(1) : value)

/** Reads columns as the features they could be: what comes must be what readColumns gave. */
async function readAsDataset(file: ParquetFile, { values }: Columns, faults: string[]): Promise<void> {
  for (const name of Object.keys(values)) {
    let features: FeaturesConfig
    try {
      const { kind, list } = columnOf(file, name)
      features = { [name]: { dtype: kind === 'text' ? 'text' : list ? 'token_id' : 'numerical' } }
    } catch (error) {
      refusal(error, faults, `columnOf ${name}`)
      continue
    }
    const options = {
      inputs: featureInputs(features),
      trainOnly: 'none' as const,
      tokenize: (text: string) => [text.length],
    }
    try {
      const numbers: unknown[] = []
      const lists: number[][] = []
      for await (const chunk of streamChunks(file, { ...options, extra: [name] })) {
        numbers.push(...(chunk.floats[name] ?? []))
        const list = chunk.lists[name]
        for (let row = 0; list && row < chunk.length; row++)
          lists.push([...list.values.subarray(list.offsets[row], list.offsets[row + 1])])
      }
      if (file.rows > 0) await loadDataset(file, options)
      const expected = values[name] as unknown[]
      if (features[name]!.dtype === 'numerical') {
        if (
          !isDeepStrictEqual(
            numbers,
            expected.map(value => Math.fround(numberOf(value))),
          )
        )
          faults.push(`streamChunks reads ${name} as ${numbers}`)
      } else if (
        features[name]!.dtype === 'token_id' &&
        !isDeepStrictEqual(
          lists,
          expected.map(list => (list as unknown[]).map(value => Math.abs(numberOf(value)))),
        )
      )
        faults.push(`streamChunks reads ${name} as ${JSON.stringify(lists)}`)
    } catch (error) {
      refusal(error, faults, `streamChunks ${name}`)
    }
  }
}

const read = new Map<string, Promise<Columns>>()

/** What the file held before it was changed. */
function before(base: string): Promise<Columns> {
  const known = read.get(base) ?? readAll(readFileSync(base), [])
  read.set(base, known)
  return known
}

export const parquet: Format = {
  name: 'parquet',
  oracle: true,
  async make(seed, number) {
    await prepareCodec('ZSTD')
    const random = randomStream(seed, number, 1)
    // Every kind in turn, so that few files hold some of each.
    const kind = KINDS[number % KINDS.length]!
    const base = BASES[random.below(BASES.length)]!
    const whole = new Uint8Array(readFileSync(base))
    const change = KEEPING[kind]
    const bytes = change
      ? change(takeApart(whole), random)
      : DAMAGE[kind]!.apply(takeApart(whole), random, whole)
    return { kind, base, name: 'case.parquet', bytes }
  },
  async read({ kind, base, bytes }: Case): Promise<Reading> {
    const faults: string[] = []
    const old = await before(base)
    const { values, refusals } = await readAll(bytes, faults)
    const verdict = KEEPING[kind] ? 'equal' : DAMAGE[kind]!.verdict
    const refused = Object.keys(refusals).filter(name => !(name in old.refusals))
    const changed = Object.keys(values).filter(name => !isDeepStrictEqual(values[name], old.values[name]))
    const names = Object.keys(values).length + Object.keys(refusals).length
    const missing =
      '' in refusals || names === Object.keys(old.values).length + Object.keys(old.refusals).length
    if (verdict === 'equal' && (refused.length || changed.length || !missing))
      faults.push(`reads otherwise: ${JSON.stringify(refusals)}, ${changed}`)
    if (verdict === 'careful' || verdict === 'refused') {
      const [name] = changed
      if (name !== undefined)
        faults.push(
          `misreads ${name}: ${JSON.stringify(values[name]).slice(0, 200)} for ${JSON.stringify(old.values[name])?.slice(0, 200)}`,
        )
      if (verdict === 'refused' && !refused.length) faults.push('reads a damaged file as a whole one')
    }
    const outcome = refused.length ? 'refused' : changed.length ? 'other' : 'equal'
    return { outcome, faults, values, refusals }
  },
}
