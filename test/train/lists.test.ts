// A model that reads lists: batches hold whole lists, wherever their rows stand in the file; it trains, goes on to the bit, and answers by row.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  createLoader,
  parquetBytes,
  randomStream,
  readColumns,
  shuffledOrder,
  writeParquetGroups,
} from '../../src/data/index.ts'
import { unitsOf } from '../../src/data/lists.ts'
import * as kg from '../../src/index.ts'
import { BrokenLossError, predictStream, type TrainerProgress } from '../../src/train/index.ts'
import { kernelgrad } from '../cli/capture.ts'
import { type Batch, inputs, Ranker } from '../support/ranker.ts'

const gpu = await kg.openGpu()
const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-lists-'))
test.after(() => {
  gpu.close()
  rmSync(folder, { recursive: true })
})

interface Row {
  session: number
  query: number
  price: number
  age: number
  click: number
}
const LISTS = 31
/** Lists of 1 to 6 rows; the dearest is clicked. Sessions and queries repeat, their pairs do not. */
const random = randomStream(5, 0)
const lists: Row[][] = Array.from({ length: LISTS }, (_, l) => {
  const rows = Array.from({ length: 1 + random.below(6) }, () => ({
    session: 4_000_000_000 + (l % 6),
    query: Math.floor(l / 6),
    price: random.normal(),
    age: random.normal(),
    click: 0,
  }))
  rows.reduce((best, row) => (row.price > best.price ? row : best)).click = 1
  return rows
})
const sorted = lists.flat()
/** The first rows of all lists, then the second ones, and so on: lists and their rows stand in the same order, nowhere side by side. */
const mixed = Array.from({ length: 6 }, (_, i) => lists.flatMap(list => list[i] ?? [])).flat()

const KINDS = { session: 'int64', query: 'int64', price: 'double', age: 'double', click: 'int64' } as const
const NAMES = Object.keys(KINDS) as (keyof Row)[]
const bytesOf = (rows: Row[]): Promise<ArrayBuffer> =>
  parquetBytes(NAMES.map(name => ({ name, kind: KINDS[name], data: rows.map(row => row[name]) })))
const dataOf = async (rows: Row[]): Promise<kg.Dataset> => kg.loadDataset(await bytesOf(rows), { inputs })
const ranker = () => new Ranker().to(gpu, { seed: 3 })
const weightsOf = async (model: kg.Model) =>
  [...(await model.stateDict())].map(([name, { data }]) => [name, [...(data as Float32Array)]])

async function messageOf(work: () => unknown): Promise<string> {
  try {
    await work()
  } catch (error) {
    assert.instance(error, kg.KernelgradError, String((error as Error).stack))
    return (error as Error).message
  }
  throw new Error('nothing was refused')
}

test('lists stand in the order of their first rows, their rows in that of the file', async () => {
  const units = unitsOf(await dataOf(mixed), inputs)
  assert.is(units.count, LISTS)
  for (const [l, list] of lists.entries())
    assert.equal(
      [...units.rowsOf(Uint32Array.of(l))].map(row => mixed[row]),
      list,
    )
  assert.is(
    [...units.rowsOf(shuffledOrder(LISTS, 1, 1))].sort((a, b) => a - b).join(),
    [...mixed.keys()].join(),
  )
})

test('a loader shuffles lists and splits none, with a worker and without', async () => {
  const data = await dataOf(mixed)
  const order = shuffledOrder(LISTS, 7, 2)
  const seen: unknown[][] = []
  for (const worker of [false, true]) {
    const loader = createLoader(data, inputs, { batchSize: 4, worker })
    const batches: unknown[] = []
    let at = 0
    for await (const { documents, rows, numbers, size } of loader.batches(order)) {
      const wanted = [...order.subarray(at, at + 4)].map(l => lists[l]!)
      at += 4
      assert.is(size, wanted.flat().length)
      assert.equal(
        rows.map(row => mixed[row]),
        wanted.flat(),
      )
      const starts = [...documents]
      assert.equal(
        starts.slice(1).map((end, l) => end - starts[l]!),
        wanted.map(list => list.length),
      )
      assert.equal(
        [...numbers.price!],
        wanted.flat().map(row => Math.fround(row.price)),
      )
      batches.push([rows, starts])
    }
    assert.is(batches.length, Math.ceil(LISTS / 4))
    seen.push(batches)
    assert.match(
      await messageOf(() => loader.batches(Uint32Array.of(0, LISTS)).next()),
      `list ${LISTS} is asked for, the data has lists 0 to ${LISTS - 1}`,
    )
    await loader.close()
  }
  assert.equal(seen[0], seen[1])
})

const SETTINGS = {
  max_steps: 12,
  per_device_train_batch_size: 4,
  gradient_accumulation_steps: 2,
  learning_rate: 0.1,
  eval_steps: 3,
  save_steps: 3,
  load_best_model_at_end: false,
  logging_steps: 1,
  seed: 9,
}

interface Run {
  weights: unknown
  losses: number[]
  progress: TrainerProgress[]
}
async function train(
  rows: Row[],
  { output, resume = false, stopAfter }: { output?: string; resume?: boolean; stopAfter?: number } = {},
): Promise<Run> {
  const model = ranker()
  const data = await dataOf(rows)
  const progress: TrainerProgress[] = []
  const trainer: kg.Trainer = new kg.Trainer({
    model,
    config: kg.parseTrainerConfig({ ...SETTINGS }, 'the test'),
    train: data,
    evaluation: data,
    ...(output === undefined ? {} : { output }),
    onProgress: at => progress.push(at),
    callbacks: [{ onStepEnd: ({ state }) => void (state.global_step === stopAfter && trainer.interrupt()) }],
  })
  const { log_history } = await trainer.train({ resumeFromCheckpoint: resume })
  const losses = log_history.flatMap(entry => entry.loss ?? entry.eval_loss ?? [])
  const weights = await weightsOf(model)
  model.free()
  return { weights, losses, progress }
}

test('it learns; where the rows of a list stand changes no bit; a stopped run goes on to the bit', async () => {
  const whole = await train(sorted)
  assert.ok(whole.losses.at(-1)! < 0.6 * whole.losses[0]!, String(whole.losses))
  // 8 batches an epoch are 4 steps.
  const { rows, totalRows, maxSteps } = whole.progress.at(-1)!
  assert.equal(
    { rows, totalRows, maxSteps },
    { rows: 3 * sorted.length, totalRows: 3 * sorted.length, maxSteps: 12 },
  )
  const apart = await train(mixed)
  assert.equal(apart.weights, whole.weights)
  assert.equal(apart.losses, whole.losses)

  const output = join(folder, 'run')
  await train(mixed, { output, stopAfter: 5 })
  assert.ok(existsSync(join(output, 'checkpoint-5')))
  const rest = await train(mixed, { output, resume: true })
  assert.equal(rest.weights, whole.weights)
  assert.equal(rest.losses, whole.losses)
  // Step 5 is the first of the second epoch: two batches of 4 lists.
  const begun = shuffledOrder(LISTS, 9, 1).subarray(0, 8)
  const startRows = sorted.length + [...begun].reduce((sum, l) => sum + lists[l]!.length, 0)
  assert.is(rest.progress.at(-1)!.startRows, startRows)
})

test('rows in another order are other data: a run refuses to go on with them', async () => {
  assert.match(
    await messageOf(() => train(sorted, { output: join(folder, 'run'), resume: true })),
    /has changed since training began/,
  )
})

test('scores come in the order of the rows, of whole lists, in memory and in a stream', async () => {
  const model = ranker()
  const scores = await kg.predict(model, await dataOf(mixed), { batchSize: 5 })
  const byRow = new Map(mixed.map((row, i) => [row, scores[i]!]))
  const whole = await kg.predict(model, await dataOf(sorted), { batchSize: 5 })
  assert.equal(
    sorted.map(row => byRow.get(row)),
    [...whole],
  )
  for (const list of lists)
    assert.ok(Math.abs(list.reduce((sum, row) => sum + byRow.get(row)!, 0) - 1) < 1e-6)

  // Row groups of 7 rows, which no list keeps to.
  async function* groups() {
    for (let at = 0; at < mixed.length; at += 7) {
      const part = mixed.slice(at, at + 7)
      yield Object.fromEntries(NAMES.map(name => [name, part.map(row => row[name])]))
    }
  }
  const path = join(folder, 'groups.parquet')
  await writeParquetGroups(
    path,
    NAMES.map(name => ({ name, kind: KINDS[name] })),
    groups(),
  )
  const file = await kg.openParquet(path)
  assert.ok(file.groups.length > 5)
  const metric = model.metrics()
  const done: number[] = []
  const parts: number[] = []
  for await (const part of predictStream(model, file, {
    batchSize: 5,
    metric: metric as kg.Metric,
    onBatch: rows => done.push(rows),
  })) {
    assert.is(part.rows.rowStart, parts.length)
    parts.push(...part.scores)
  }
  assert.equal(parts, [...scores])
  assert.is(done.at(-1), mixed.length)
  assert.equal(metric.result(), await kg.evaluate(model, await dataOf(mixed), { batchSize: 5 }))
  model.free()
})

test('the command line trains it, and its figures and predictions are those of a program', async () => {
  kg.registerModel(Ranker)
  const at = (name: string) => join(folder, name)
  writeFileSync(at('rows.parquet'), new Uint8Array(await bytesOf(mixed)))
  writeFileSync(at('run.json'), JSON.stringify({ architecture: 'Ranker', trainer: SETTINGS }))
  const ran = async (...args: string[]) => {
    const { code, out, err } = await kernelgrad(...args)
    assert.is(code, 0, err)
    return JSON.parse(out.trimEnd().split('\n').at(-1)!)
  }
  const rows = at('rows.parquet')
  await ran(
    'train',
    '--config',
    at('run.json'),
    '--train',
    rows,
    '--eval',
    rows,
    '--out',
    at('cli'),
    '--json',
  )
  const model = await kg.loadModel(gpu, at('cli'))
  const data = await dataOf(mixed)
  const given = ['--model', at('cli'), '--data', rows, '--batch-size', '5', '--json']
  assert.equal((await ran('evaluate', ...given)).metrics, await kg.evaluate(model, data, { batchSize: 5 }))
  await ran('predict', ...given, '--out', at('scores.parquet'))
  const { row, chosen } = await readColumns(at('scores.parquet'), ['row', 'chosen'])
  assert.equal(row!.map(Number), [...mixed.keys()])
  assert.equal(chosen, [...(await kg.predict(model, data, { batchSize: 5 }))])
  model.free()
})

test('a loss that breaks names the rows of its lists', async () => {
  const model = ranker()
  model.broken = 40
  try {
    await new kg.Trainer({
      model,
      config: kg.parseTrainerConfig({ ...SETTINGS }, 'the test'),
      train: await dataOf(mixed),
    }).train()
    throw new Error('it went on')
  } catch (error) {
    assert.instance(error, BrokenLossError)
    const { rows } = (error as BrokenLossError).rows[0]!
    assert.ok(rows.includes(40))
    const named = rows.map(row => mixed[row]!)
    assert.is(named.length, lists.filter(list => named.includes(list[0]!)).flat().length)
  }
  model.free()
})

test('lists for the loss alone: data without them is answered row by row', async () => {
  class Scorer extends Ranker {
    static override readonly architecture = 'Ranker'
    override readonly inputs = { ...inputs, documents: { ...inputs.documents, trainOnly: true } } as never
    override scores(batch: Batch): kg.Tensor {
      return kg.reshape(this.rowScores(batch), [batch.size, 1])
    }
  }
  const model = new Scorer().to(gpu, { seed: 3 })
  const data = await dataOf(mixed)
  const { click, price, age } = { ...data.ids, ...data.floats } as Record<string, never>
  const bare: kg.Dataset = { ...data, ids: { click: click! }, floats: { price: price!, age: age! } }
  const batches: number[] = []
  const onBatch = (rows: number) => batches.push(rows)
  const scores = await kg.predict(model, bare, { batchSize: 64, onBatch })
  assert.equal(
    batches,
    Array.from({ length: Math.ceil(mixed.length / 64) }, (_, i) => Math.min(64 * (i + 1), mixed.length)),
  )
  assert.equal(scores, await kg.predict(model, data, { batchSize: 5 }))
  const config = kg.parseTrainerConfig({ ...SETTINGS, max_steps: 1 }, 'the test')
  assert.match(
    await messageOf(() => new kg.Trainer({ model, config, train: bare })),
    /^Trainer: train: the data has no column 'session', which Ranker reads as 'documents'$/,
  )
  model.free()
})

test('what is no list is refused', async () => {
  const data = await dataOf(mixed)
  const long = lists.find(list => list.length > 1)!
  const other = lists.find(list => list !== long)!
  const apart = [long[0]!, other[0]!, long[1]!].map(row => mixed.indexOf(row))
  assert.is(
    await messageOf(() => kg.collate(data, apart, inputs)),
    `row ${apart[2]} is of a list whose other rows stand before others in the batch, expected the rows of a list side by side`,
  )
  const twice = [mixed.indexOf(other[0]!), mixed.indexOf(other[0]!)]
  assert.match(
    await messageOf(() => kg.collate(data, twice, inputs)),
    `row ${twice[0]} stands twice in the batch, expected each row of a list once`,
  )
  for (const worker of [false, true]) {
    const loader = createLoader(data, inputs, { batchSize: 3, worker })
    for (const order of [
      [4, 4, 1],
      [2, 5, 2],
    ])
      assert.match(
        await messageOf(() => loader.batches(Uint32Array.from(order)).next()),
        /^row \d+ stands twice in the batch/,
      )
    // In two batches, both are whole.
    const sizes: number[] = []
    for await (const { size, documents } of loader.batches(Uint32Array.of(4, 1, 2, 4))) {
      sizes.push(size)
      assert.is(documents.at(-1), size)
    }
    assert.equal(
      sizes,
      [[4, 1, 2], [4]].map(batch => batch.reduce((sum, l) => sum + lists[l]!.length, 0)),
    )
    await loader.close()
  }
  const declared = (more: kg.Inputs) => messageOf(() => kg.checkInputs('Ranker', { ...inputs, ...more }))
  assert.is(
    await declared({ more: { kind: 'list', columns: ['user'] } }),
    "Ranker: input 'more' is a second list, expected one at most",
  )
  assert.is(
    await declared({ documents: { kind: 'list', columns: [] } }),
    "Ranker: input 'documents' needs columns: a list of names",
  )
  assert.is(
    await declared({ documents: { kind: 'list', columns: ['a', 'a'] } }),
    "Ranker: input 'documents' names column 'a' twice",
  )
  const read = (column: string) =>
    messageOf(async () =>
      kg.loadDataset(await bytesOf(mixed), { inputs: { documents: { kind: 'list', columns: [column] } } }),
    )
  assert.match(
    await read('price'),
    /column price, row \d+: value -?[\d.]+, expected an integer from 0 to 4294967295$/,
  )
  assert.match(await read('user'), /has no column user; .*; the model reads it as 'documents'$/)
  const wrong = {
    ...data,
    ids: { ...data.ids, query: Float32Array.from(data.ids.query!, id => id + 0.5) as never },
  }
  assert.match(
    await messageOf(() => kg.predict(ranker(), wrong)),
    /feature query, row 0: value 0\.5, expected an integer from 0 to 4294967295$/,
  )
})

test.run()
