import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConfigError } from '../../src/errors.ts'
import { openGpu } from '../../src/gpu/index.ts'
import { candidates } from '../../src/kernels/index.ts'

const shape = { M: 128, N: 128, K: 128, layout: 'NN' } as const

test('a device takes the forms of the adapter that is named, and its own otherwise', async () => {
  const own = await openGpu({ forms: process.env.KERNELGRAD_ADAPTER === 'system' ? 'system' : 'embedded' })
  assert.is(own.forms.kind, own.adapter.kind)
  const gpu = await openGpu({ forms: 'hardware/nvidia' })
  assert.equal({ ...gpu.forms }, { kind: 'hardware', vendor: 'nvidia' })
  assert.is(gpu.adapter.kind, own.adapter.kind)
  assert.is.not(candidates(gpu, shape)[0], candidates(own, shape)[0])
  for (const device of [own, gpu]) {
    if (device.features.has('subgroups')) assert.ok(device.subgroups!.least <= device.subgroups!.most)
    else assert.is(device.subgroups, undefined)
    device.close()
  }
})

for (const forms of ['', 'gpu', 'hardware/', 'hardware/amd/x', 'toString', 7 as never, null as never])
  test(`forms ${JSON.stringify(forms)} are refused`, async () => {
    const fault = await openGpu({ forms }).then(
      gpu => gpu.close(),
      (error: unknown) => error,
    )
    assert.instance(fault, ConfigError)
    assert.match((fault as Error).message, /forms is '.*', expected hardware, system, embedded/)
  })

for (const option of ['subgroups', 'poison', 'defaultLimits', 'workLimit', 'adapter'])
  for (const wrong of [null, Number.NaN, -1, 'x', [], {}])
    test(`openGpu refuses ${option} ${JSON.stringify(wrong)}`, async () => {
      const fault = await openGpu({ [option]: wrong }).then(
        gpu => gpu.close(),
        (error: unknown) => error,
      )
      assert.instance(fault, ConfigError)
      assert.match((fault as Error).message, option)
    })

test.run()
