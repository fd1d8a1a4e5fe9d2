// Every refusal of a small run, one after the other, a lost device at seeded moments, and a disk full at every write: `npm run faults -- --seed S`.
import { parseArgs } from 'node:util'
import { openGpu } from '../../src/gpu/index.ts'
import { generator } from '../../src/testing/index.ts'
import { calm, diskFull, lost, refused } from '../support/faulted-run.ts'
import { FAULTS, type Fault } from '../support/faults.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    losses: { type: 'string', default: '50' },
    only: { type: 'string' },
    every: { type: 'string', default: '1' },
  },
})
const { only } = values
let failed = 0

/** Runs one case and says what is wrong with it. */
async function attempt<T>(what: string, run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await run()
  } catch (error) {
    failed++
    console.log(`FAIL ${what}: ${(error as Error).stack?.slice(0, 1500)}`)
    return undefined
  }
}

/** A device that has compiled everything asks for no more pipelines: those faults need a new one each time. */
const compiles = (fault: Fault) => fault === 'createShaderModule' || fault === 'createComputePipelineAsync'

for (const fault of FAULTS) {
  if (only !== undefined && only !== fault) continue
  let gpu = await openGpu()
  const first = await calm(gpu, fault)
  const { bits, calls } = compiles(fault) ? first : await calm(gpu, fault)
  const outcomes = { refused: 0, recovered: 0, 'not reached': 0 }
  for (let nth = 1; nth <= calls; nth += Number(values.every)) {
    if (compiles(fault)) {
      gpu.close()
      gpu = await openGpu()
    }
    const outcome = await attempt(`${fault} ${nth}`, () => refused(gpu, fault, nth, bits))
    if (outcome) outcomes[outcome]++
  }
  gpu.close()
  console.log(
    `${fault}: ${calls} calls; ${outcomes.refused} ended in an error, ${outcomes.recovered} did without`,
  )
}

if (only === undefined || only === 'lost') {
  const { bits, calls } = await lost(0)
  const random = generator(Number(values.seed))
  let losses = 0
  const count = Number(values.losses)
  for (let i = 0; i < count; i++) {
    const nth = 1 + Math.floor(random() * calls)
    losses += (await attempt(`lost at ${nth}`, () => lost(nth, bits)))?.losses ?? 0
  }
  console.log(`lost: ${count} runs of ${calls} calls, ${losses} losses, seed ${values.seed}`)
}
if (only === undefined || only === 'disk') {
  const gpu = await openGpu()
  const { bits, calls } = await diskFull(gpu, 0)
  let told = 0
  for (let nth = 1; nth <= calls; nth += Number(values.every))
    if (await attempt(`disk ${nth}`, () => diskFull(gpu, nth, bits))) told++
  gpu.close()
  console.log(`disk: ${calls} writes; full at ${told} of them, each told and gone on from`)
}
console.log(failed ? `${failed} failed` : 'all as they should be')
process.exit(failed ? 1 : 0)
