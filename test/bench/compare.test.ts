// Waits for CI: it runs other libraries
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { compare } from '../../bench/compare/compare.ts'
import { operators } from '../../bench/compare/operators.ts'
import { findPeers, Peer } from '../../bench/compare/peer.ts'
import { trainWork } from '../../bench/compare/work.ts'
import { stepModel } from '../../bench/models.ts'
import { openGpu } from '../../src/gpu/index.ts'
import { TextTabularModel } from '../../src/models/index.ts'

const gpu = await openGpu({ poison: true })
/** An answer that is to come is waited for: as long as a test file may take. */
const PATIENT = 30 * 60_000

/** A peer that runs `body` for every request, with `send` to answer. */
const scripted = (body: string) => ({
  name: 'scripted',
  backend: 'none',
  command: process.execPath,
  args: [
    '-e',
    `const send = a => process.stdout.write(JSON.stringify(a) + '\\n')
     require('readline').createInterface({ input: process.stdin }).on('line', line => {
       const request = JSON.parse(line)
       if (request.do === 'open') return send({ version: 'one' })
       ${body}
     })`,
  ],
})

test('ours computes every operator as the oracle does', async () => {
  const print = () => {}
  const refused = await compare(gpu, { quick: true, peer: 'nobody', print }).catch((error: Error) => error)
  assert.match((refused as Error).message, /--peer 'nobody' matches no row; there are PyTorch/)
  const results = await compare(gpu, { quick: true, filter: '.forward', peer: null, print })
  assert.equal(
    results.map(({ name }) => name),
    Object.keys(operators(true)).map(name => `${name}.forward`),
  )
  for (const { name, variant, error, counts, ms } of results) {
    assert.is(variant, 'kernelgrad')
    assert.ok(counts && error < 1e-5, `${name} is wrong by ${error}`)
    assert.ok(ms > 0)
  }
})

test('a peer answers requests in order; an error it reports does not end it', async () => {
  const body = `send(request.do === 'run' ? { ms: 2, losses: [request.count] } : { error: 'no ' + request.do })`
  const peer = await Peer.start(scripted(body), PATIENT)
  assert.is(peer.version, 'one')
  assert.equal(await peer.ask({ do: 'train', work: {} }), { error: 'no train' })
  assert.equal(await peer.ask({ do: 'run', count: 3 }), { ms: 2, losses: [3] })
  assert.is(peer.failure, undefined)
  peer.close()
})

test('a peer that crashes, or is late, says why and takes part no longer', async () => {
  const crashed = await Peer.start(scripted(`console.error('out of luck'); process.exit(3)`), PATIENT)
  const first = await crashed.ask({ do: 'run', count: 1 })
  assert.match(first.error!, /code 3: out of luck/)
  assert.equal(await crashed.ask({ do: 'run', count: 1 }), first)
  const late = await Peer.start({ ...scripted(''), name: 'late' }, PATIENT)
  const sleep = globalThis.setTimeout
  let waited = 0
  const soon = (done: () => void, ms: number) => {
    waited = ms
    return sleep(done)
  }
  Object.assign(globalThis, { setTimeout: soon })
  const answer = late.ask({ do: 'end' })
  Object.assign(globalThis, { setTimeout: sleep })
  assert.is(waited, PATIENT)
  assert.match((await answer).error!, /no answer to 'end' within 1800 s/)
  const absent = await Peer.start({ ...scripted(''), command: 'no-such-program' }, PATIENT)
  assert.match(absent.failure!, /ENOENT/)
})

test('every peer that is not installed names what installs it', () => {
  for (const { name, missing } of findPeers())
    if (missing) assert.match(missing, /npm ci --prefix bench\/peers|KERNELGRAD_PYTHON/, name)
})

test('the work of a training run is the model’s', () => {
  const built = stepModel('full')
  const model = new TextTabularModel(built.config)
  const work = trainWork(built, model, 1)
  const size = (shape: number[]) => shape.reduce((n, d) => n * d, 1)
  assert.is(
    work.parameters.reduce((sum, { shape }) => sum + size(shape), 0),
    143602190,
  )
  // Embeddings' LayerNorm, two in each of two layers, one in each MLP layer.
  assert.is(Object.keys(work.centers).length, 1 + 4 + 3)
  assert.is(work.batches[0]!.inputIds.length, 64)
  assert.is(work.batches[0]!.inputIds[0]!.length, 24)
})

test('PyTorch, where it is found, trains with the same losses', async () => {
  const torch = findPeers().find(({ name }) => name === 'PyTorch')!
  if (torch.missing) return console.log(`skip: PyTorch, ${torch.missing}`)
  const results = await compare(gpu, { quick: true, filter: 'step.tiny', peer: 'PyTorch', print: () => {} })
  assert.equal(
    results.map(({ variant }) => variant),
    ['kernelgrad', 'PyTorch'],
  )
  const [ours, theirs] = results as [(typeof results)[0], (typeof results)[0]]
  assert.is(theirs.losses!.length, ours.losses!.length)
  assert.ok(theirs.error < 1e-5, `losses differ by ${theirs.error}`)
})

test.after(() => gpu.close())
test.run()
