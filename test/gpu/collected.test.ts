// What a closed device leaves behind: the binding keeps devices, so nothing else may hang on one, or a server that takes over models grows.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DeviceError } from '../../src/errors.ts'
import { type Gpu, openGpu } from '../../src/gpu/index.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

class Owner {
  readonly gpu: Gpu
  constructor(gpu: Gpu) {
    this.gpu = gpu
  }
  async end(): Promise<void> {
    this.gpu.close()
    const error = await this.gpu.done().catch(error => error)
    assert.instance(error, DeviceError)
  }
}

async function opened(): Promise<{ device: GPUDevice; owner: WeakRef<Owner>; gpu: WeakRef<Gpu> }> {
  const owner = new Owner(await openGpu())
  const view = owner.gpu.from(Float32Array.of(1, 2, 3))
  assert.equal([...(await owner.gpu.readFloats({ ...view, size: 12 }))], [1, 2, 3])
  await owner.end()
  return { device: owner.gpu.device, owner: new WeakRef(owner), gpu: new WeakRef(owner.gpu) }
}

test('a closed device keeps neither its Gpu nor what closed it', async () => {
  const { device, owner, gpu } = await opened()
  for (let turn = 0; turn < 200 && (owner.deref() || gpu.deref()); turn++) {
    await new Promise(resolve => setImmediate(resolve))
    collect()
  }
  assert.is(owner.deref(), undefined)
  assert.is(gpu.deref(), undefined)
  assert.ok(device.lost)
})

test.run()
