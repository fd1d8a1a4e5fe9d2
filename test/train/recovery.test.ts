// Training goes on after its device is lost, and ends as if nothing had happened, to the bit.
// Waits for CI: it loses devices dozens of times
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DeviceLostError } from '../../src/errors.ts'
import { type Gpu, openGpu } from '../../src/gpu/index.ts'
import { type TrainerState, trainWithRecovery } from '../../src/train/index.ts'
import { kernelgrad } from '../cli/capture.ts'
import { bitsOf, files, folder, makeRun, modelJson, TRAINER } from '../support/small-run.ts'
import { unhandledSoFar } from '../support/unhandled.ts'

let runs = 0

interface Told {
  bits: Record<string, string>
  state: TrainerState
  /** Newest checkpoint's name at each recovery. */
  recoveries: (string | undefined)[]
  output: string
}

/** A run whose devices are lost, in turn, while the model computes that micro-batch, or reads that evaluation, of theirs. */
async function run(losses: { batch?: number; saving?: number }[]): Promise<Told> {
  const output = join(folder, `recovered-${runs++}`)
  const recoveries: Told['recoveries'] = []
  const left = [...losses]
  const { bits, state } = await trainWithRecovery(
    {
      output,
      open: () => openGpu({ poison: true }),
      onRecovery(error, recovery, checkpoint) {
        assert.is(error.reason, 'destroyed')
        assert.is(recovery, recoveries.length + 1)
        recoveries.push(checkpoint?.slice(output.length + 1))
      },
    },
    async (gpu, resumeFromCheckpoint) => {
      const { trainer, model } = await makeRun(gpu, {}, { output, onWarning: assert.unreachable })
      const { batch, saving } = left.shift() ?? {}
      let seen = 0
      const loss = model.loss.bind(model)
      model.loss = input => {
        if (model.training && ++seen === batch) gpu.device.destroy()
        return loss(input)
      }
      if (saving) loseWhileSaving(gpu, output, saving)
      return { state: await trainer.train({ resumeFromCheckpoint }), bits: await bitsOf(model) }
    },
  )
  return { bits, state, recoveries, output }
}

/** Destroys the device when a file of the checkpoint of a step is being written. */
function loseWhileSaving(gpu: Gpu, output: string, step: number): void {
  const read = gpu.readBytes.bind(gpu)
  gpu.readBytes = view => {
    const begun = readdirSync(output).some(name => name.includes(`checkpoint-${step}`))
    if (begun) gpu.device.destroy()
    return read(view)
  }
}

const straight = await run([])

for (const [name, losses, from] of [
  ['three times', [{ batch: 5 }, { batch: 20 }, { batch: 2 }], [undefined, 'checkpoint-4', 'checkpoint-4']],
  ['while a checkpoint is being written', [{ saving: 8 }], ['checkpoint-4']],
] as const) {
  test(`a device lost ${name}: weights and state are those of a run that lost none`, async () => {
    const lost = await run([...losses])
    assert.equal(lost.recoveries, from)
    assert.equal(lost.bits, straight.bits)
    const told = ({ state }: Told) => ({ ...state, best_model_checkpoint: null })
    assert.equal(told(lost), told(straight))
    assert.equal(readdirSync(lost.output).sort(), readdirSync(straight.output).sort())
  })
}

test('one loss more than allowed is thrown, and what is no loss is not tried again', async () => {
  const output = join(folder, `recovered-${runs++}`)
  let opened = 0
  const open = () => {
    opened++
    return openGpu()
  }
  const failing = (recoveries: number, error?: Error) =>
    trainWithRecovery({ output, recoveries, open }, async gpu => {
      if (error) throw error
      gpu.device.destroy()
      await gpu.done()
    }).then(
      () => assert.unreachable(),
      (thrown: Error) => thrown,
    )
  assert.instance(await failing(2), DeviceLostError)
  assert.is(opened, 3)
  const own = new Error('no loss')
  assert.is(await failing(2, own), own)
  assert.is(opened, 4)
})

test('`kernelgrad train` says that it goes on, and writes the same model', async () => {
  const config = join(folder, 'lost.json')
  writeFileSync(config, JSON.stringify({ ...modelJson, trainer: { ...TRAINER } }))
  const train = (out: string) =>
    kernelgrad('train', '--config', config, '--train', files.train, '--eval', files.test, '--out', out)
  const [whole, out] = [join(folder, 'cli-whole'), join(folder, 'cli-lost')]
  assert.is((await train(whole)).code, 0)
  // The command opens its device itself: the first one is destroyed when checkpoint-8 is there.
  const submit = GPUQueue.prototype.submit
  let lost = false
  const devices = new Set<GPUDevice>()
  const request = GPUAdapter.prototype.requestDevice
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await request.apply(this, args)
    devices.add(device)
    return device
  }
  GPUQueue.prototype.submit = function (buffers) {
    if (!lost && readdirSync(out).includes('checkpoint-8')) {
      lost = true
      for (const device of devices) device.destroy()
    }
    return submit.call(this, buffers)
  }
  try {
    const { code, out: told, err } = await train(out)
    assert.is(code, 0, err)
    assert.match(
      told,
      /^warning: the WebGPU device was lost \(destroyed\): .*; going on from \S*checkpoint-8 on another device \(recovery 1\)$/m,
    )
  } finally {
    GPUQueue.prototype.submit = submit
    GPUAdapter.prototype.requestDevice = request
  }
  const weights = (at: string) => readFileSync(join(at, 'model.safetensors'))
  assert.ok(weights(out).equals(weights(whole)))
})

test('nothing was left unhandled', async () => {
  assert.equal(await unhandledSoFar(), [])
})

test.run()
