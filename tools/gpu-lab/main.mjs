// Compiles the pipelines of training steps with the compilers of five cards, none of which is needed, and says which kernels are not fit for them.
// usage: npm run gpu-lab -- [--gpu NAME]… [--step full|f16|long]… [--new] [--json FILE]
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { formatTable } from '../../dist/src/cli/table.js'
import { writeJson } from '../../dist/src/data/files.js'
import { CARDS } from './cards.mjs'
import { STEPS } from './steps.mjs'
import { reader } from './told.mjs'
import { missing, start, tree } from './tree.mjs'
import { byFamily, rowsOf } from './verdicts.mjs'

/** Kernels of which some rows are unfit, and why that stays. */
const KNOWN = {
  'matmul.main': 'products of the MLP with few rows: more parts of their sums would cost a launch each',
}

const USAGE = `usage: npm run gpu-lab -- [--gpu NAME]… [--step STEP]… [--new] [--json FILE]
  --gpu   one of ${Object.keys(CARDS).join(', ')}; all unless given
  --step  one of ${Object.keys(STEPS).join(', ')}; all unless given
  --new   only the forms for cards, without those of software adapters beside them
  --json  writes every row to a file`

function options() {
  const list = { type: 'string', multiple: true }
  const { values } = parseArgs({
    options: { gpu: list, step: list, new: { type: 'boolean' }, json: { type: 'string' } },
  })
  const { gpu = Object.keys(CARDS), step = Object.keys(STEPS) } = values
  for (const [name, given, known] of [
    ['gpu', gpu, CARDS],
    ['step', step, STEPS],
  ])
    for (const one of given)
      if (!Object.hasOwn(known, one))
        throw new Error(`--${name} is '${one}', expected one of ${Object.keys(known).join(', ')}`)
  return { gpus: gpu, steps: step, old: !values.new, json: values.json }
}

/** Compiles a step; rejects with what the process told last where it fails. */
async function compile(root, name, step, forms) {
  const card = { name, ...CARDS[name] }
  const folder = fileURLToPath(new URL('../..', import.meta.url))
  const child = start({ root, folder, card, forms, args: ['tools/gpu-lab/step.mjs', step] })
  const told = reader()
  const last = []
  createInterface({ input: child.stderr }).on('line', line => {
    told.line(line)
    last.push(line)
    if (last.length > 30) last.shift()
  })
  const said = []
  createInterface({ input: child.stdout }).on('line', line => {
    if (line.startsWith('{')) said.push(JSON.parse(line))
  })
  const code = await new Promise(resolve => child.on('close', resolve))
  if (code !== 0)
    throw new Error(`${name}, step ${step}, forms ${forms}: exit code ${code}\n${last.join('\n')}`)
  const launches = said.filter(({ launch }) => launch)
  return { adapter: said[0].adapter, rows: rowsOf(card, launches, told.made) }
}

const dash = value => value ?? '-'

function rowTable(rows) {
  const cells = rows.map(row => [
    row.name,
    row.launches,
    `${row.groups} x ${row.workgroup}`,
    row.waves,
    ...[row.resident, row.registers, row.spilled, row.shared, row.instructions].map(dash),
    ...[row.latency, row.throughput, row.cycles].map(dash),
    row.wrong.join('; '),
  ])
  const headers = ['kernel', 'times', 'groups x lanes', 'waves', 'fit', 'regs', 'spills', 'shared', 'instr.']
  return formatTable([...headers, 'latency', 'inv. thr.', 'cycles', 'wrong'], cells)
}

/** The forms for cards beside those of software adapters. */
function familyTable(rows, old) {
  const [now, then] = [byFamily(rows), byFamily(old)]
  const cells = [...new Set([...then.keys(), ...now.keys()])].sort().map(family => {
    const pair = key => `${dash(then.get(family)?.[key])} -> ${dash(now.get(family)?.[key])}`
    return [family, ...['launches', 'instructions', 'latency', 'throughput', 'cycles'].map(pair)]
  })
  const headers = ['family', 'launches', 'most instr.', 'latency of the dearest', 'its inv. thr.']
  return formatTable([...headers, 'cycles of all'], cells)
}

const said = text => process.stderr.write(`${text}\n`)

async function run() {
  const { gpus, steps, old, json } = options()
  if (json === '') throw new Error("--json is '', expected a file")
  const cannot = missing()
  // What cannot be written is told before anything is compiled.
  if (json && !cannot) await writeJson(json, [])
  const { root, why } = cannot ? { why: cannot } : tree(said)
  if (why) {
    console.log(`skip: gpu-lab: ${why}`)
    return 0
  }
  const results = []
  let failed = 0
  for (const gpu of gpus) {
    for (const step of steps) {
      const began = Date.now()
      try {
        const { adapter, rows } = await compile(root, gpu, step, `hardware/${CARDS[gpu].maker}`)
        const before = old ? (await compile(root, gpu, step, 'system')).rows : undefined
        const unfit = rows.filter(({ wrong }) => wrong.length)
        results.push({ gpu, is: CARDS[gpu].is, step, adapter, rows, ...(before && { old: before }) })
        console.log(`\n${gpu}, ${CARDS[gpu].is}, step ${step}: ${adapter}\n`)
        console.log(rowTable(rows))
        if (before)
          console.log(`\nforms of software adapters -> forms for cards\n\n${familyTable(rows, before)}`)
        const launches = rows.reduce((sum, row) => sum + row.launches, 0)
        console.log(
          `${launches} launches of ${new Set(rows.map(row => row.pipeline)).size} pipelines, ${unfit.length} rows unfit, ${Math.round((Date.now() - began) / 1000)} s`,
        )
      } catch (error) {
        failed++
        console.log(`FAIL ${error.message}`)
      }
      if (json) await writeJson(json, results)
    }
  }
  const rows = results.flatMap(({ rows }) => rows)
  const unfit = rows.filter(({ wrong }) => wrong.length)
  const names = [...new Set(unfit.map(({ name }) => name))].sort()
  for (const name of names) if (name in KNOWN) console.log(`known: ${name}: ${KNOWN[name]}`)
  const wrong = rows.some(row => row.spilled) || names.some(name => !(name in KNOWN))
  console.log(
    `\n${results.length} steps compiled, ${failed} failed; ${rows.length} rows, ${rows.filter(row => row.spilled).length} spill, ${unfit.length} unfit${names.length ? `: ${names.join(', ')}` : ''}`,
  )
  return failed || wrong ? 1 : 0
}

try {
  process.exitCode = await run()
} catch (error) {
  said(`error: ${error.message}\n${USAGE}`)
  process.exitCode = 2
}
