// What only the device can say against a launch: it comes late, is told to whoever waits for the results, and leaves all other work as it was.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DeviceError, ShapeError } from '../../src/errors.ts'
import { type Kernel, openGpu, type View } from '../../src/gpu/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'
import { type ErrorClass, make, N, scale, values, wgsl } from '../support/scale-kernel.ts'

const gpu = await openTestGpu()
const x = gpu.from(seeded(N, 1))
const doubled = [...seeded(N, 1)].map(v => 2 * v)

/** The right call works, and so does work that was recorded before and has not been submitted. */
async function works(before: View): Promise<void> {
  const y = gpu.acquire(4 * N)
  gpu.launch(scale, values, [x, y], 1)
  for (const view of [y, before]) {
    assert.equal([...(await gpu.readFloats({ ...view, size: 4 * N }))], doubled)
    gpu.release(view)
  }
  await gpu.done()
}

const launched = (): View => {
  const y = gpu.acquire(4 * N)
  gpu.launch(scale, values, [x, y], 1)
  return y
}

const other = await openGpu()
const y = gpu.acquire(4 * N)
const of = (buffer: GPUBuffer, offset = 0, size = 256) => ({ buffer, offset, size })
const raw = (size: number, flags: number) => of(gpu.device.createBuffer({ size, usage: flags }), 0, size)
const S = { STORAGE: 128, SRC: 4, DST: 8, READ: 1 }
const two = 'struct Two { a: array<vec4f, 64> }\n'
const LATER: [string, { kernel: Kernel<never>; views: View[] }, RegExp, ErrorClass?][] = [
  [
    'a text that does not parse',
    { kernel: make({ wgsl: `${wgsl}fn nonsense( {` }) as never, views: [x, y] },
    /kernel scale, entry scale: line 12 .fn nonsense/,
  ],
  [
    'a name that is not there',
    { kernel: make({ wgsl: wgsl.replace('x[i]', 'z[i]') }) as never, views: [x, y] },
    /kernel scale, entry scale: line 10 .*unresolved value 'z'/,
  ],
  [
    'too many invocations',
    { kernel: make({ workgroup: 4096 }) as never, views: [x, y] },
    /kernel scale, entry scale: .*4096/,
  ],
  [
    'a binding too small',
    {
      kernel: make({
        wgsl: two + wgsl.replace('y: array<f32>', 'y: Two').replace('y[i]', 'y.a[i].x'),
      }) as never,
      views: [x, of(y.buffer)],
    },
    /kernel scale, entry scale: the device refuses bindings of these bytes, .* 256 for binding 2: .*1024/,
    ShapeError,
  ],
]

for (const [name, { kernel, views }, message, type = DeviceError] of LATER) {
  test(`refused by whoever waits for its results: ${name}`, async () => {
    for (const wait of ['done', 'read'] as const) {
      const [before, target, copy, free] = [
        launched(),
        gpu.acquire(4 * N),
        gpu.acquire(4 * N),
        gpu.acquire(4 * N),
      ]
      gpu.launch(kernel, values as never, [views[0]!, { ...views[1]!, buffer: target.buffer }], 1)
      gpu.launch(scale, values, [target, copy], 1) // of its results
      gpu.launch(scale, values, [x, free], 1) // in the meantime
      const error = await (wait === 'done' ? gpu.done() : gpu.readFloats(copy)).then(
        () => undefined,
        (thrown: Error) => thrown,
      )
      assert.instance(error, type, String(error))
      assert.match(error!.message, message)
      // Nobody is told twice but who reads what was never computed.
      await gpu.done()
      for (const view of [target, copy]) {
        const again = await gpu.readFloats(view).catch((thrown: Error) => thrown)
        assert.is(again, error)
      }
      gpu.launch(scale, values, [x, target], 1)
      for (const view of [target, free])
        assert.equal([...(await gpu.readFloats({ ...view, size: 4 * N }))], doubled)
      for (const view of [target, copy, free]) gpu.release(view)
      await works(before)
    }
  })
}

test('a compile error says where the kernel was launched, and the corrected kernel works at once', async () => {
  const target = gpu.acquire(4 * N)
  const kernel = make({ wgsl: wgsl.replace('x[i]', 'z[i]') })
  for (const fixed of [make(), Object.assign(kernel, { wgsl: `${wgsl}// corrected in place` })]) {
    gpu.launch(make({ wgsl: wgsl.replace('x[i]', 'z[i]') }), values, [x, target], 1)
    const error = await gpu.readFloats(target).catch((thrown: Error) => thrown)
    assert.match((error as Error).stack!, /unresolved value 'z'/)
    assert.match(((error as Error).cause as Error).stack!, /late-errors\.test/)
    gpu.launch(fixed, values, [x, target], 1)
    assert.equal([...(await gpu.readFloats({ ...target, size: 4 * N }))], doubled)
  }
  gpu.release(target)
})

test('a kernel object that is written to is compiled anew', async () => {
  const target = gpu.acquire(4 * N)
  const kernel = make()
  gpu.launch(kernel, values, [x, target], 1)
  await gpu.done()
  kernel.wgsl = wgsl.replace('params.factor * x[i]', '2.0 * params.factor * x[i]')
  gpu.launch(kernel, values, [x, target], 1)
  assert.equal(
    [...(await gpu.readFloats({ ...target, size: 4 * N }))],
    doubled.map(v => 2 * v),
  )
  gpu.release(target)
})

test('what was there before a launch that never ran is there after it', async () => {
  const weights = gpu.from(seeded(N, 1))
  gpu.launch(make({ wgsl: wgsl.replace('x[i]', 'z[i]') }), values, [x, weights], 1)
  gpu.launch(scale, values, [weights, y], 1)
  const error = await gpu.done().catch((thrown: Error) => thrown)
  assert.instance(error, DeviceError)
  assert.equal(await gpu.readFloats({ ...weights, size: 4 * N }), seeded(N, 1))
  gpu.launch(scale, values, [weights, y], 1)
  assert.equal([...(await gpu.readFloats({ ...y, size: 4 * N }))], doubled)
  gpu.release(weights)
})

test('a buffer handed on after a failure is its next holder’s, who is told nothing', async () => {
  const first = gpu.acquire(4 * N)
  gpu.launch(make({ wgsl: wgsl.replace('x[i]', 'z[i]') }), values, [x, first], 1)
  gpu.release(first)
  const second = gpu.acquire(4 * N)
  assert.is(second.buffer, first.buffer)
  gpu.launch(scale, values, [x, second], 1)
  assert.equal([...(await gpu.readFloats({ ...second, size: 4 * N }))], doubled)
  assert.instance(await gpu.done().catch((thrown: Error) => thrown), DeviceError)
  gpu.release(second)
})

test('a buffer of the user’s own serves, also one that is destroyed while a command with it is recorded', async () => {
  const mine = raw(256, S.STORAGE | S.SRC | S.DST)
  gpu.launch(scale, values, [x, mine], 1)
  const target = gpu.acquire(4 * N)
  gpu.copy(mine, target, 4 * N)
  mine.buffer.destroy()
  assert.equal([...(await gpu.readFloats({ ...target, size: 4 * N }))], doubled)
  assert.throws(() => gpu.launch(scale, values, [x, mine], 1), /the buffer was destroyed/)
  gpu.release(target)
})

test('a buffer that was destroyed before anyone named it is told of, and nothing is lost with it', async () => {
  const before = launched()
  const dead = raw(256, S.STORAGE | S.SRC | S.DST)
  dead.buffer.destroy()
  const target = gpu.acquire(4 * N)
  gpu.launch(scale, values, [dead, target], 1)
  const error = await gpu.readFloats(target).catch((thrown: Error) => thrown)
  assert.match(String(error), /DeviceError: a buffer cannot be used on this device: .*destroyed/)
  gpu.release(target)
  await works(before)
})

test('a buffer that some other device made is told of, and nothing is lost with it', async () => {
  const before = launched()
  const foreign = of(other.device.createBuffer({ size: 256, usage: S.STORAGE | S.SRC | S.DST }))
  const target = gpu.acquire(4 * N)
  gpu.launch(scale, values, [foreign, target], 1)
  const error = await gpu.readFloats(target).catch((thrown: Error) => thrown)
  assert.match(String(error), /DeviceError: a buffer cannot be used on this device/)
  gpu.release(target)
  await works(before)
})

test('a text that is indented as the code around it is read like any other', async () => {
  const target = gpu.acquire(4 * N)
  const kernel = make({ wgsl: wgsl.replaceAll('\n', '\n      ') })
  gpu.launch(kernel, values, [x, target], 1)
  assert.equal([...(await gpu.readFloats({ ...target, size: 4 * N }))], doubled)
  gpu.release(target)
})

test.after(() => {
  other.close()
  gpu.close()
})
test.run()
