// Event files as TensorBoard reads them: bytes that TensorFlow's own writers make, and a run's log read back by a reader of its own.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { crc32c } from '../../../src/data/crc32.ts'
import { ConfigError } from '../../../src/errors.ts'
import { event, maskedCrc32c } from '../../../src/train/tensorboard/events.ts'
import { openTestGpu } from '../../support/gpu.ts'
import { type Event, readEvents } from '../../support/read-events.ts'
import { makeRun } from '../../support/small-run.ts'

const gpu = await openTestGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-events-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

test('checksums are those of RFC 3720 and of records', () => {
  const bytes = (text: string) => new TextEncoder().encode(text)
  assert.is(crc32c(bytes('123456789')), 0xe3069283)
  assert.is(crc32c(new Uint8Array(32)), 0x8a9136aa)
  assert.is(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43)
  assert.is(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e)
  assert.is(crc32c(new Uint8Array(0)), 0)
  assert.is(maskedCrc32c(new Uint8Array(0)), 0xa282ead8)
})

test('events have the bytes that protobuf and TFRecord give them', () => {
  assert.is(
    hex(event(1_700_000_000.25, 0, { version: true })),
    '1800000000000000a37f4b220900001040fc54d9411a0d627261696e2e4576656e743a32338d2fe9',
  )
  assert.is(
    hex(event(1_700_000_001.5, 300, { scalars: { 'train/loss': 0.25, 'eval/roc_auc': Number.NaN } })),
    '36000000000000004f578cef0900006040fc54d94110ac022a280a110a0a747261696e2f6c6f7373150000803e0a130a0c6576616c2f726f635f617563150000c07fbf47f839',
  )
  assert.is(
    hex(event(1_700_000_002, 5_000_000_001, { restart: true })),
    '13000000000000000c91321b0900008040fc54d9411081e497d0123a020801daa6de85',
  )
  assert.is(
    hex(event(1_700_000_003, 7, { tag: 'args/text_summary', text: 'grüße' })),
    '3f0000000000000051657661090000c040fc54d94110072a320a300a11617267732f746578745f73756d6d6172794211080712041202080142076772c3bcc39f654a080a060a0474657874db923f6a',
  )
})

test('a run goes into a file, and a resumed one into a further file from its step on', async () => {
  const output = join(folder, 'run')
  const settings = { report_to: 'tensorboard', max_steps: 6, logging_steps: 2 } as const
  const first = await makeRun(gpu, settings, {
    output,
    callbacks: [
      {
        onStepEnd({ state, control }) {
          if (state.global_step === 5) control.shouldTrainingStop = true
        },
      },
    ],
  })
  const before = Date.now() / 1000
  await first.trainer.train()
  const history = [...first.trainer.state.log_history]
  first.model.free()
  const names = () => readdirSync(join(output, 'runs')).sort()
  assert.is(names().length, 1)
  const events = (name: string) => readEvents(readFileSync(join(output, 'runs', name)))
  const [version, ...one] = events(names()[0]!)
  assert.is(version!.version, 'brain.Event:2')
  assert.ok(one.every(({ time }) => time >= before - 1 && time <= Date.now() / 1000))
  assert.equal(scalars(one), expected(history))
  const args = JSON.parse(one.find(({ tag }) => tag === 'args/text_summary')!.text!)
  assert.equal([args.max_steps, args.seed], [6, 9])
  assert.equal(
    JSON.parse(one.find(({ tag }) => tag === 'model_config/text_summary')!.text!).mlp_config[0].hidden_size,
    8,
  )

  const again = await makeRun(gpu, settings, { output, onWarning() {} })
  await again.trainer.train({ resumeFromCheckpoint: join(output, 'checkpoint-4') })
  const later = again.trainer.state.log_history.filter(({ step }) => step > 4)
  again.model.free()
  assert.is(names().length, 2)
  const two = events(names()[1]!)
  assert.is(two[0]!.version, 'brain.Event:2')
  assert.equal([two[1]!.restart, two[1]!.step], [true, 5])
  assert.equal(scalars(two), expected(later))
  assert.ok(scalars(two).some(([tag, step]) => tag === 'train/loss' && step === 6))
  assert.equal(
    new Set(scalars(two).flatMap(([tag]) => (tag.startsWith('train/learning') ? [tag] : []))),
    new Set(['train/learning_rate', 'train/learning_rate_encoder', 'train/learning_rate_other']),
  )
})

test('without a folder, or where it cannot be written, it is said at once', async () => {
  try {
    await makeRun(gpu, { report_to: 'tensorboard' })
    assert.unreachable()
  } catch (error) {
    assert.ok(
      error instanceof ConfigError && /no output folder for its files/.test(error.message),
      String(error),
    )
  }
})

const scalars = (events: readonly Event[]) =>
  events.flatMap(({ step, scalars }) =>
    Object.entries(scalars ?? {}).map(([tag, value]): [string, number, number] => [tag, step, value]),
  )

/** A log's figures as scalars, float32. */
const expected = (history: readonly Record<string, number>[]) =>
  history.flatMap(({ step, ...entry }) =>
    Object.entries(entry).map(([name, value]): [string, number, number] => [
      name.startsWith('eval_') ? `eval/${name.slice(5)}` : `train/${name}`,
      step!,
      Math.fround(value),
    ]),
  )

test.run()
