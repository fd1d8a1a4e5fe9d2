// A device that is lost, closed or short of memory: what each call says then, and what still works.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DeviceError, DeviceLostError, OutOfMemoryError } from '../../src/errors.ts'
import { type Gpu, InFlight, openGpu } from '../../src/gpu/index.ts'
import { add, addInto } from '../../src/kernels/elementwise.ts'
import { seeded } from '../support/gpu.ts'
import { unhandledSoFar } from '../support/unhandled.ts'

/** What a call fails with; fails the test when it does not. One that never ends lets the process end without a count. */
async function failureOf(call: () => unknown): Promise<Error> {
  const outcome = await (async () => call())().then(
    () => 'nothing',
    (error: Error) => error,
  )
  assert.instance(outcome, Error, `${call} ended with ${outcome}`)
  return outcome as Error
}

/** Every way to use a device. */
const uses = (gpu: Gpu, n = 32) => {
  const [x, y] = [gpu.from(seeded(n, 1)), gpu.acquire(n * 4)]
  return {
    launch: () => add(gpu, { a: x, b: x, out: y, n }),
    upload: () => gpu.upload(x, seeded(n, 2)),
    copy: () => gpu.copy(x, y, n * 4),
    clear: () => gpu.clear(y),
    flush: () => gpu.flush(),
    done: () => gpu.done(),
    compiled: () => gpu.compiled(),
    settled: () => gpu.settled(),
    read: () => gpu.readFloats(y),
    push: () => new InFlight().push(gpu),
  }
}

test('after a loss every call throws it, and giving memory back does not', async () => {
  const gpu = await openGpu()
  const held = gpu.acquire(1000)
  const calls = uses(gpu)
  await gpu.done()
  gpu.device.destroy()
  await Promise.resolve()
  for (const [name, call] of Object.entries(calls)) {
    const error = await failureOf(call)
    assert.instance(error, DeviceLostError, name)
    assert.is((error as DeviceLostError).reason, 'destroyed')
    assert.match(error.message, /^the WebGPU device was lost \(destroyed\): \S/)
  }
  gpu.release(held)
  gpu.close()
})

test('waits that are pending when the device is lost or closed end', async () => {
  for (const [end, expected] of [
    [(gpu: Gpu) => gpu.device.destroy(), DeviceLostError],
    [(gpu: Gpu) => gpu.close(), DeviceError],
  ] as const) {
    const gpu = await openGpu()
    const { launch, read } = uses(gpu)
    launch()
    const inFlight = new InFlight()
    await inFlight.push(gpu)
    await inFlight.push(gpu, read())
    // Nothing is compiled yet, and a read waits for it.
    const pending = [read(), gpu.done(), gpu.finished(), gpu.compiled(), inFlight.drain()]
    const outcomes = Promise.all(pending.map(wait => failureOf(() => wait)))
    end(gpu)
    for (const error of await outcomes) assert.instance(error, expected)
    const later = await failureOf(() => gpu.done())
    assert.instance(later, expected)
    assert.is(later instanceof DeviceLostError, expected === DeviceLostError, 'closing is no loss')
    gpu.close()
  }
})

test('a loss between the asking and the answer of a read is told as such', async () => {
  const gpu = await openGpu()
  const { launch, read } = uses(gpu)
  launch()
  await gpu.done()
  for (let turns = 0; turns < 3; turns++) {
    const reading = read()
    for (let i = 0; i < turns; i++) await new Promise(resolve => setImmediate(resolve))
    if (turns === 2) gpu.device.destroy()
    const outcome = await reading.catch((error: Error) => error)
    assert.ok(outcome instanceof Float32Array || outcome instanceof DeviceLostError, String(outcome))
  }
  assert.instance(await failureOf(read), DeviceLostError)
  gpu.close()
})

test('a memory limit refuses at once, says what is in use, and lets go of what nobody holds', async () => {
  const gpu = await openGpu({ memoryLimit: 1_000_000 })
  const weights = gpu.allocate(400_000, 'parameters')
  const activation = gpu.acquire(100_000)
  const { inUse, allocated } = { ...gpu.memory }
  let error: OutOfMemoryError | undefined
  try {
    gpu.acquire(500_000, 'the batch')
  } catch (thrown) {
    error = thrown as OutOfMemoryError
  }
  assert.instance(error, OutOfMemoryError)
  assert.ok(error!.requested >= 500_000 && error!.requested < 700_000)
  assert.is(error!.allocated, allocated)
  assert.match(
    error!.message,
    /^out of device memory: the batch needs 0\.\d MB, and the memory limit is 1\.0 MB; in use are 0\.4 MB of parameters, 0\.1 MB of activations and their gradients\. Lower the batch size .*hidden size/,
  )
  assert.equal([gpu.memory.inUse, gpu.memory.allocated], [inUse, allocated])
  assert.equal({ ...gpu.memory.byLabel }, { parameters: 400_000 })

  // Pooled memory makes way for a buffer of another size, also while what is recorded still names it.
  const values = seeded(25_000, 5)
  gpu.upload(activation, values)
  const copy = gpu.acquire(100_000)
  gpu.copy(activation, copy, 100_000)
  gpu.release(activation)
  const larger = gpu.acquire(300_000)
  assert.equal(await gpu.readFloats({ ...copy, size: 100_000 }), values)
  assert.ok(gpu.memory.allocated <= 1_000_000)
  for (const view of [copy, larger, weights]) gpu.release(view)
  assert.is(gpu.memory.inUse, 0)
  assert.is(gpu.memory.byLabel.parameters, 0)
  gpu.close()
})

/** v + v + … in float32. */
function times(v: number, count: number): number {
  let sum = 0
  for (let i = 0; i < count; i++) sum = Math.fround(sum + v)
  return sum
}

/** Lets a device refuse buffers of `bytes` and more, as WebGPU does: later, through the error scope. */
function refuseFrom(gpu: Gpu, bytes: number): () => void {
  const { device } = gpu
  const create = device.createBuffer.bind(device)
  const pop = device.popErrorScope.bind(device)
  let refused = false
  device.createBuffer = descriptor => {
    if (descriptor.size < bytes) return create(descriptor)
    refused = true
    // An invalid buffer, whose reason does not reach anyone.
    device.pushErrorScope('validation')
    const buffer = create({ ...descriptor, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.MAP_WRITE })
    void pop()
    return buffer
  }
  device.popErrorScope = async () => {
    const was = refused
    refused = false
    const found = await pop()
    return was ? ({ message: 'no room' } as GPUError) : found
  }
  return () => {
    device.createBuffer = create
    device.popErrorScope = pop
  }
}

test('a buffer the device has no room for: one call is told, what needs it does not run, all else does', async () => {
  const gpu = await openGpu()
  const n = 64
  const [x, sum] = [gpu.from(seeded(n, 1)), gpu.acquire(n * 4)]
  gpu.clear(sum)
  await gpu.done()
  const before = { ...gpu.memory, byLabel: {} }
  const restore = refuseFrom(gpu, 1 << 20)
  for (let round = 0; round < 3; round++) {
    addInto(gpu, { x, into: sum, n }) // stays recorded
    const big = gpu.acquire(1 << 20, 'scores')
    gpu.upload(big, seeded(n, 3))
    gpu.copy(big, sum, n * 4) // never runs
    addInto(gpu, { x, into: sum, n })
    const again = gpu.acquire(1 << 21, 'more scores') // of the same failure
    const error = await failureOf(() => (round % 2 ? gpu.done() : gpu.readFloats(sum)))
    assert.instance(error, OutOfMemoryError)
    assert.match(
      error.message,
      /^out of device memory: (scores needs 1|more scores needs 2)\.\d MB, and the device has no room for it/,
    )
    // Who goes on to use it is told again.
    assert.instance(await failureOf(() => gpu.copy(big, sum, 4)), OutOfMemoryError)
    for (const view of [big, again]) gpu.release(view)
    const got = await gpu.readFloats({ ...sum, size: n * 4 })
    assert.equal(
      got,
      seeded(n, 1).map(v => times(v, 2 * (round + 1))),
      `round ${round}`,
    )
  }
  const { created, peak, ...now } = { ...gpu.memory, byLabel: {} }
  assert.equal(
    { ...now, created: before.created, peak: before.peak, allocated: 0 },
    { ...before, allocated: 0 },
  )
  assert.ok(created > before.created && peak >= before.peak)
  restore()
  const big = gpu.acquire(1 << 20)
  gpu.copy(x, big, n * 4)
  assert.equal(await gpu.readFloats({ ...big, size: n * 4 }), seeded(n, 1))
  gpu.close()
})

test('nothing was left unhandled', async () => {
  assert.equal(await unhandledSoFar(), [])
})

test.run()
