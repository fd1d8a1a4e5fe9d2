/** `npm run fuzz`: makes files out of seeds, reads them, and keeps those that were read wrongly. CONTRIBUTING.md says how. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { FORMATS } from './formats.ts'
import { createOracle } from './oracle.ts'
import { createRunner } from './run.ts'

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', multiple: true },
    count: { type: 'string' },
    case: { type: 'string' },
    python: { type: 'string' },
    out: { type: 'string', default: 'fuzz-failures' },
  },
})
const seed = Number(options.seed)
const names = options.only ?? Object.keys(FORMATS)
for (const name of names)
  if (!FORMATS[name]) {
    console.error(`there is no format ${name}, expected ${Object.keys(FORMATS).join(', ')}`)
    process.exit(2)
  }
const ends =
  Date.now() +
  1000 * Number(options.seconds ?? (options.count || options.case ? Number.POSITIVE_INFINITY : 60))
const first = Number(options.case ?? 0)
const last = options.case ? first : Number(options.count ?? Number.POSITIVE_INFINITY) - 1

const counts: Record<string, Record<string, number>> = {}
const compared: Record<string, Record<string, number>> = {}
const seen = new Map<string, number>()
let faulty = 0
const add = (table: typeof counts, name: string, key: string) => {
  table[name] ??= {}
  const row = table[name]
  row[key] = (row[key] ?? 0) + 1
}

/** Keeps the file and says how to make it again; of many faults alike the first three are told. */
async function keep(name: string, number: number, kind: string, faults: string[]): Promise<void> {
  faulty++
  const alike = `${name} ${kind} ${faults[0]!.replace(/[\d.]+/g, '#').slice(0, 60)}`
  seen.set(alike, (seen.get(alike) ?? 0) + 1)
  if (seen.get(alike)! > 3) return
  if (kind === 'unknown') {
    console.log(`${name} ${number} cannot be made: ${faults[0]}`)
    return
  }
  const made = await FORMATS[name]!.make(seed, number)
  const folder = join(options.out, `${name}-${seed}-${number}`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, made.name), made.bytes)
  const again = `npm run fuzz -- --only ${name} --seed ${seed} --case ${number}`
  writeFileSync(join(folder, 'why.txt'), `${made.kind} of ${made.base}\n${faults.join('\n')}\n${again}\n`)
  console.log(
    `${name} ${number}, ${made.kind} of ${made.base.slice(0, 60)}: ${faults[0]!.slice(0, 600)}\n  ${again}`,
  )
}

const runner = createRunner()
const oracle = options.python ? createOracle(options.python) : undefined
try {
  for (let number = first; number <= last && Date.now() < ends; number++)
    for (const name of names) {
      const { outcome, faults, kind, ...reading } = await runner.run(name, seed, number)
      add(counts, name, faults.length ? 'faults' : outcome)
      if (oracle && FORMATS[name]!.oracle && kind !== 'unknown') {
        const made = await FORMATS[name]!.make(seed, number)
        const { verdict, detail } = await oracle.compare(made, { outcome, faults, ...reading })
        add(compared, name, verdict)
        if (verdict === 'differ' || verdict === 'we read more') faults.push(`${verdict}: ${detail}`)
      }
      if (faults.length) await keep(name, number, kind, faults)
    }
} finally {
  runner.close()
  oracle?.close()
}
console.table(counts)
if (oracle) console.table(compared)
console.log(`seed ${seed}: ${faulty ? `${faulty} cases with faults, kept in ${options.out}` : 'no faults'}`)
for (const [alike, times] of seen) if (times > 3) console.log(`${times} times: ${alike}`)
process.exit(faulty ? 1 : 0)
