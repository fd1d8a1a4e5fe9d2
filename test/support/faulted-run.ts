// A whole small run, from the model's making to a prediction, with a fault in it; and what it must come to in the end.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { DeviceError, DeviceLostError, KernelgradError, OutOfMemoryError } from '../../src/errors.ts'
import { type Gpu, openGpu } from '../../src/gpu/index.ts'
import type { Model } from '../../src/models/index.ts'
import { damageOf } from '../../src/train/checkpoint-folder.ts'
import { predict, saveModel, trainWithRecovery } from '../../src/train/index.ts'
import { type Fault, lose, refuse, type Seam } from './faults.ts'
import { fillDisk } from './full-disk.ts'
import { bitsOf, folder, makeRun } from './small-run.ts'

/** 7 steps, two of them with an evaluation and a checkpoint after. */
const SETTINGS = { num_train_epochs: 1, eval_steps: 3, save_steps: 3, logging_steps: 2 }
let runs = 0

/** Weights and predictions of a run; what it made on the device is given back, also when it fails. */
async function whole(gpu: Gpu, output: string, resumeFromCheckpoint: boolean | string): Promise<string> {
  let made: Model | undefined
  try {
    const { trainer, model, train } = await makeRun(gpu, SETTINGS, { output, onWarning: assert.unreachable })
    made = model
    await trainer.train({ resumeFromCheckpoint })
    await saveModel(model, `${output}-model`)
    const scores = await predict(model, train, { batchSize: 70 })
    const hash = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex')
    return `weights ${hash(await bitsOf(model))}, scores ${hash([...scores])}`
  } finally {
    made?.free()
  }
}

const fresh = () => join(folder, `faulted-${runs++}`)
const hasCheckpoint = (output: string) =>
  existsSync(output) && readdirSync(output).some(name => /^checkpoint-\d+$/.test(name))

/** What a run without a fault gives, and the number of calls of a kind that it makes on this device. */
export async function calm(gpu: Gpu, fault: Fault): Promise<{ bits: string; calls: number }> {
  gpu.pool.trim()
  await gpu.done()
  const seam = refuse(gpu, fault, 0)
  const bits = await whole(gpu, fresh(), false)
  seam.remove()
  return { bits, calls: seam.calls() }
}

/** How a faulted run went. */
export type Outcome = 'recovered' | 'refused' | 'not reached'

/**
 * A run in which the `nth` call of a kind is refused: it ends in an error of the right class or does without, what it held is given
 * back, and on the same device it goes on to the bits of a calm run.
 */
export async function refused(gpu: Gpu, fault: Fault, nth: number, bits: string): Promise<Outcome> {
  const at = `${fault} ${nth}`
  gpu.pool.trim()
  await gpu.done()
  const { buffers, inUse } = gpu.memory
  const output = fresh()
  const seam = refuse(gpu, fault, nth)
  const got = await whole(gpu, output, false).catch((error: Error) => error)
  seam.remove()
  const expected = fault === 'createBuffer' ? OutOfMemoryError : DeviceError
  if (got instanceof Error) assert.instance(got, expected, `${at}: ${got.stack}`)
  else assert.is(got, bits, at)
  // What nobody waited for is told by the wait for all work, once.
  for (let told = 0; ; told++) {
    const error = await gpu.done().catch((error: Error) => error)
    if (!error) break
    assert.instance(error, expected, at)
    assert.ok(told < 100, `${at}: told without end`)
  }
  assert.equal([gpu.memory.buffers, gpu.memory.inUse], [buffers, inUse], `${at}: buffers held`)
  // Losses are read by the clock too, so that a run may make fewer calls than another.
  if (!(got instanceof Error)) return seam.calls() < nth ? 'not reached' : 'recovered'
  assert.is(await whole(gpu, output, hasCheckpoint(output)), bits, `${at}: gone on`)
  assert.equal([gpu.memory.buffers, gpu.memory.inUse], [buffers, inUse], `${at}: buffers held after`)
  return 'refused'
}

/** A run whose first device is lost at its `nth` call; it goes on with others. Returns the calls that the first device saw. */
export async function lost(
  nth: number,
  bits?: string,
): Promise<{ bits: string; calls: number; losses: number }> {
  const output = fresh()
  const seams: Seam[] = []
  let losses = 0
  const got = await trainWithRecovery(
    {
      output,
      open: async () => {
        const gpu = await openGpu()
        seams.push(lose(gpu, seams.length ? 0 : nth))
        return gpu
      },
      onRecovery(error) {
        assert.instance(error, DeviceLostError)
        losses++
      },
    },
    (gpu, from) => whole(gpu, output, from),
  )
  if (bits !== undefined) assert.is(got, bits, `lost at call ${nth}`)
  return { bits: got, calls: seams[0]!.calls(), losses }
}

/**
 * A run whose disk is full from the `nth` write on (never where it is 0): it ends in one error that says so, what was saved is whole and
 * nothing half written lies about, and with room again the same process goes on to the bits of a calm run. Returns the writes counted.
 */
export async function diskFull(
  gpu: Gpu,
  nth: number,
  bits?: string,
): Promise<{ bits: string; calls: number }> {
  const at = `disk full from write ${nth} on`
  const output = fresh()
  const seam = await fillDisk(nth)
  const got = await whole(gpu, output, false).catch((error: Error) => error)
  seam.remove()
  if (!nth && typeof got === 'string') return { bits: got, calls: seam.calls() }
  assert.instance(got, KernelgradError, `${at}: ${(got as Error).stack ?? 'the run told nothing'}`)
  assert.match((got as Error).message, /no space left on the device/, at)
  const held = [output, `${output}-model`].flatMap(name =>
    existsSync(name) ? readdirSync(name, { recursive: true, encoding: 'utf8' }) : [],
  )
  assert.equal(
    held.filter(name => name.endsWith('.tmp') || name.endsWith('.old')),
    [],
    at,
  )
  for (const name of held.filter(name => /^checkpoint-\d+$/.test(name)))
    assert.is(await damageOf(join(output, name)), undefined, `${at}: ${name}`)
  const again = await whole(gpu, output, hasCheckpoint(output))
  if (bits !== undefined) assert.is(again, bits, `${at}: gone on`)
  return { bits: again, calls: seam.calls() }
}
