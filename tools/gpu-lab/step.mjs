// Runs in the lab's tree: records two training steps on the card that is not there and compiles their pipelines one after the other, each
// announced on stderr, where the driver tells what it made of it. The launches of the second step go to stdout, a line of JSON each.
// usage: node tools/gpu-lab/step.mjs full|f16|long
import { writeSync } from 'node:fs'
import { LaunchLog } from '../../dist/bench/launches.js'
import { startTraining } from '../../dist/bench/training.js'
import { openGpu } from '../../dist/src/index.js'
import { STEPS } from './steps.mjs'

// Not by process.stderr, which would make the pipe one that a full reader refuses: NVIDIA's compiler gives up then.
const say = what => writeSync(1, `${JSON.stringify(what)}\n`)
const mark = what => writeSync(2, `\nPIPELINE ${what}\n`)
const gpu = await openGpu()
say({ adapter: gpu.adapter.line })

const { device } = gpu
const compile = device.createComputePipelineAsync.bind(device)
/** Number of each pipeline, in the order in which they were compiled. */
const numbers = new WeakMap()
let count = 0
let before = Promise.resolve()
device.createComputePipelineAsync = descriptor => {
  const made = before.then(async () => {
    mark(count)
    const pipeline = await compile(descriptor)
    numbers.set(pipeline, count++)
    mark('END')
    return pipeline
  })
  before = made.catch(() => {})
  return made
}

/** Numbers of the pipelines that were dispatched, in order. */
let dispatched = []
const encode = device.createCommandEncoder.bind(device)
device.createCommandEncoder = (...given) => {
  const encoder = encode(...given)
  const begin = encoder.beginComputePass.bind(encoder)
  const finish = encoder.finish.bind(encoder)
  const own = []
  encoder.beginComputePass = (...given) => {
    const pass = begin(...given)
    const [set, dispatch] = [pass.setPipeline.bind(pass), pass.dispatchWorkgroups.bind(pass)]
    let current
    pass.setPipeline = pipeline => {
      current = numbers.get(pipeline)
      set(pipeline)
    }
    pass.dispatchWorkgroups = (...groups) => {
      own.push(current)
      dispatch(...groups)
    }
    return pass
  }
  encoder.finish = (...given) => {
    const commands = finish(...given)
    recorded.set(commands, own)
    return commands
  }
  return encoder
}
const recorded = new WeakMap()
const submit = device.queue.submit.bind(device.queue)
device.queue.submit = commands => {
  dispatched.push(...commands.flatMap(one => recorded.get(one) ?? []))
  submit(commands)
}

const log = new LaunchLog(gpu)
const training = startTraining(gpu, { ...STEPS[process.argv[2]], batches: 2 })
for (const step of [0, 1]) {
  await gpu.compiled()
  gpu.flush()
  log.take()
  dispatched = []
  training.record(step)
}
await gpu.compiled()
gpu.flush()
const launches = log.take()
if (launches.length !== dispatched.length)
  throw new Error(`${launches.length} launches were recorded, and ${dispatched.length} dispatched`)
for (const [i, { name, kernel, groups, values }] of launches.entries())
  say({ launch: name, pipeline: dispatched[i], workgroup: kernel.workgroup, groups, values })
process.exit(0)
