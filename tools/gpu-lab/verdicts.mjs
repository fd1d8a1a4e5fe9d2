// What is made of a compiled step: a row for each pipeline and place it is launched at, and what is wrong with it.
import { residentWaves } from './cards.mjs'

/** Waves a compute unit is to be given, and lanes of a group: those of a wave, on most cards. */
const WAVES = 4
const LANES = 32
/** Launches over fewer values wait for latency, whatever their lanes. */
const FEW = 1e5
/** Values a lane may take where the size allows no more lanes: a few vec4 each. */
const VALUES_A_LANE = 16

/**
 * Rows of a step: launches of one pipeline with the same number of workgroups are one row, and count as often as they are launched.
 * @param launches of a step, `{ launch, pipeline, workgroup, groups, values }`
 * @param made by number of the pipeline, what the driver told
 */
export function rowsOf(card, launches, made) {
  const rows = new Map()
  for (const { launch: name, pipeline, workgroup, groups, values } of launches) {
    const key = `${pipeline} ${groups}`
    const row = rows.get(key)
    if (row) row.launches++
    else rows.set(key, rowOf(card, { name, pipeline, workgroup, groups, values, told: made[pipeline] ?? {} }))
  }
  return [...rows.values()]
}

function rowOf(card, { name, pipeline, workgroup, groups, values, told }) {
  const { registers, spilled = 0, spilledScalars = 0, shared = 0, instructions, latency, throughput } = told
  const waves = groups * Math.ceil(workgroup / card.lanes)
  const resident = registers === undefined ? undefined : residentWaves(card, told, workgroup)
  const row = { name, pipeline, launches: 1, workgroup, groups, values, waves, resident, registers }
  Object.assign(row, { spilled: spilled + spilledScalars, shared, instructions, latency, throughput })
  return { ...row, cycles: cyclesOf(card, row), wrong: wrongWith(card, row) }
}

/** What is wrong, in words; none where a row is fit. */
function wrongWith({ units }, { registers, spilled, resident, waves, groups, workgroup, values }) {
  if (registers === undefined) return ['the driver told nothing']
  const wrong = []
  if (spilled) wrong.push(`spills ${spilled}`)
  if (resident < WAVES) wrong.push(`${resident} waves fit a compute unit`)
  if (values <= FEW) return wrong
  if (workgroup < LANES) wrong.push(`groups of ${workgroup} lanes`)
  const lanes = groups * workgroup
  const enough = waves >= WAVES * units || lanes * VALUES_A_LANE >= values
  if (!enough) wrong.push(`${lanes} lanes over ${values} values`)
  return wrong
}

/**
 * Cycles that a launch takes by the driver's figures: each compute unit runs its waves `resident` at a time; a round lasts as long as
 * a wave, or as the waves keep a unit's pipelines busy. Loops are weighted by a guess: forms of one kernel compare, kernels do not.
 */
function cyclesOf({ units, simds }, { latency, throughput = 0, waves, resident }) {
  if (latency === undefined || !resident) return undefined
  const each = waves / units
  const rounds = Math.ceil(Math.ceil(each) / resident)
  return Math.round(Math.max(rounds * latency, (each * throughput) / simds))
}

/** Sums by family: launches, instructions of its longest kernel, cycles where they are told, and by these the dearest kernel's figures. */
export function byFamily(rows) {
  const sums = new Map()
  for (const { name, launches, cycles, instructions = 0, latency, throughput } of rows) {
    const family = name.split('.')[0]
    const sum = sums.get(family) ?? { launches: 0, instructions: 0, cycles: 0, dearest: -1 }
    sums.set(family, sum)
    sum.launches += launches
    sum.instructions = Math.max(sum.instructions, instructions)
    if (cycles === undefined) continue
    sum.cycles += launches * cycles
    if (cycles > sum.dearest) Object.assign(sum, { dearest: cycles, latency, throughput })
  }
  return sums
}
