/** Raw text of KDD Cup 2012 with good and bad lines, against a plain reading of the same rules. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RandomStream, randomStream } from '../../src/data/shuffle.ts'
import { checkRawFile } from '../../src/datasets/kdd/check.ts'
import { PROFILES, QUERIES, type RawFile, TRAINING } from '../../src/datasets/kdd/raw-files.ts'
import { type Format, refusal } from './case.ts'

const RAW: RawFile[] = [TRAINING, QUERIES, PROFILES]
const pick = <T>(list: readonly T[], random: RandomStream): T => list[random.below(list.length)]!

function field(kind: string, random: RandomStream): string {
  if (kind === 'tokens') return Array.from({ length: 1 + random.below(4) }, () => random.below(999)).join('|')
  if (kind === 'number or empty' && random.below(4) === 0) return ''
  if (kind === 'number below 2^64' && random.below(2)) return '18446744073709551615'
  return pick([String(random.below(99)), '007', '9223372036854775807'], random)
}

const ODD = [
  '',
  '-1',
  '1.5',
  '+1',
  '1e3',
  ' 1',
  '1 ',
  'x',
  '9223372036854775808',
  '18446744073709551616',
  '1|',
  '|1',
  '1||2',
]
const BYTES = [0, 9, 10, 13, 32, 45, 46, 124, 255, 0xc3, 0xef]

const CHANGES: Record<string, (lines: string[], random: RandomStream) => string | Uint8Array> = {
  'nothing changed': lines => `${lines.join('\n')}\n`,
  'no newline at the end': lines => lines.join('\n'),
  'ends of another system': lines => `${lines.join('\r\n')}\r\n`,
  'blank lines': lines => `\n${lines.join('\n\n')}\n\n`,
  'an odd field': (lines, random) => {
    const at = random.below(lines.length)
    const fields = lines[at]!.split('\t')
    fields[random.below(fields.length)] = pick(ODD, random)
    lines[at] = fields.join('\t')
    return `${lines.join('\n')}\n`
  },
  'a field more or less': (lines, random) => {
    const at = random.below(lines.length)
    const fields = lines[at]!.split('\t')
    if (random.below(2)) fields.splice(random.below(fields.length), 1)
    else fields.splice(random.below(fields.length), 0, '1')
    lines[at] = fields.join('\t')
    return `${lines.join('\n')}\n`
  },
  'other bytes': (lines, random) => {
    const bytes = new TextEncoder().encode(`${lines.join('\n')}\n`)
    for (let n = 1 + random.below(3); n > 0; n--) bytes[random.below(bytes.length)] = pick(BYTES, random)
    return bytes
  },
  'cut short': (lines, random) => {
    const text = `${lines.join('\n')}\n`
    return text.slice(0, random.below(text.length))
  },
}
const KINDS = Object.keys(CHANGES)

const RULES: Record<string, (value: string) => boolean> = {
  number: value => /^\d+$/.test(value) && BigInt(value) < 2n ** 63n,
  'number or empty': value => value === '' || RULES.number!(value),
  'number below 2^64': value => /^\d+$/.test(value) && BigInt(value) < 2n ** 64n,
  tokens: value => /^\d+(\|\d+)*$/.test(value),
}

/** Rows of a file by the rules; undefined where a line breaks them, or there is none. */
function rowsOf(bytes: Uint8Array, { columns }: RawFile): number | undefined {
  const kinds = Object.values(columns)
  const lines = Buffer.from(bytes).toString('latin1').split('\n')
  const full = lines.map(line => line.replace(/\r$/, '')).filter(line => line !== '')
  const good = full.every(line => {
    const fields = line.split('\t')
    return fields.length === kinds.length && fields.every((value, i) => RULES[kinds[i]!]!(value))
  })
  return good && full.length ? full.length : undefined
}

export const raw: Format = {
  name: 'raw',
  async make(seed, number) {
    const random = randomStream(seed, number, 6)
    const kind = KINDS[number % KINDS.length]!
    const file = pick(RAW, random)
    const lines = Array.from({ length: 1 + random.below(5) }, () =>
      Object.values(file.columns)
        .map(column => field(column, random))
        .join('\t'),
    )
    const made = CHANGES[kind]!(lines, random)
    const bytes = typeof made === 'string' ? new TextEncoder().encode(made) : made
    return { kind, base: '', name: file.name, bytes }
  },
  async read({ name, bytes }) {
    const faults: string[] = []
    const file = RAW.find(raw => raw.name === name)!
    const expected = rowsOf(bytes, file)
    const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-fuzz-'))
    try {
      const path = join(folder, name)
      writeFileSync(path, bytes)
      const { rows } = await checkRawFile(path, file)
      if (rows !== expected) faults.push(`finds ${rows} rows, ${expected} are expected`)
      return { outcome: 'equal', faults }
    } catch (error) {
      const message = refusal(error, faults, name)
      if (expected !== undefined) faults.push(`refuses what is right: ${message}`)
      return { outcome: 'refused', faults, refusals: { '': message } }
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
}
