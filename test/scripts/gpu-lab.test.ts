import { test } from 'uvu'
import * as assert from 'uvu/assert'

// Seen from dist/test/scripts.
const load = (file: string) => import(new URL(`../../../tools/gpu-lab/${file}`, import.meta.url).href)
const [{ reader }, { rowsOf, byFamily }, { CARDS, residentWaves }] = await Promise.all(
  ['told.mjs', 'verdicts.mjs', 'cards.mjs'].map(load),
)

const TOLD = `PIPELINE 0
VGPRs: 48
Spilled SGPRs: 0
Spilled VGPRs: 0
LDS size: 1024
Subgroups per SIMD: 16
Instructions: 300
Latency: 5000
Inverse Throughput: 700
PIPELINE END
VGPRs: 7
PIPELINE 1
shared_size: 8320
Instruction count: 900
Num GPRs: 121
SLM size: 64
PIPELINE END`

test('what drivers tell between the marks is read, and nothing else', () => {
  const told = reader()
  for (const line of TOLD.split('\n')) told.line(line)
  assert.equal(told.made, [
    {
      registers: 48,
      spilled: 0,
      spilledScalars: 0,
      shared: 1024,
      waves: 16,
      instructions: 300,
      latency: 5000,
      throughput: 700,
    },
    { registers: 121, spilled: 64, shared: 8320, instructions: 900 },
  ])
})

test('waves that fit follow from registers, workgroup memory and groups', () => {
  assert.is(residentWaves(CARDS.navi31, { waves: 16 }, 64), 32)
  assert.is(residentWaves(CARDS.nv162, { registers: 121, shared: 8320 }, 128), 16)
  assert.is(residentWaves(CARDS.nv162, { registers: 32, shared: 40000 }, 128), 4)
  assert.is(residentWaves(CARDS.nv176, { registers: 255 }, 256), 8)
})

test('a row is fit with lanes and waves enough and without spills', () => {
  const told = { registers: 48, waves: 16, latency: 5000, throughput: 700, instructions: 300 }
  const wrong = (launch: object, made: object = told) =>
    rowsOf(CARDS.navi31, [{ launch: 'a.b', pipeline: 0, ...launch }], [made])[0].wrong.length
  assert.is(wrong({ workgroup: 64, groups: 400, values: 1e6 }), 0)
  assert.is(wrong({ workgroup: 64, groups: 400, values: 1e6 }, { ...told, spilled: 4 }), 1)
  assert.is(wrong({ workgroup: 64, groups: 100, values: 1e6 }), 1)
  assert.is(wrong({ workgroup: 64, groups: 100, values: 1.02e5 }), 0, 'all the parallelism that there is')
  assert.is(wrong({ workgroup: 1, groups: 1, values: 1e5 }), 0, 'few values')
  assert.is(wrong({ workgroup: 16, groups: 1, values: 1e6 }), 2)
  assert.is(wrong({ workgroup: 64, groups: 400, values: 1e6 }, {}), 1)
})

test('launches of one pipeline and size are one row, and families add up', () => {
  const told = { registers: 48, waves: 16, latency: 5000, throughput: 700, instructions: 300 }
  const launch = { launch: 'a.b', pipeline: 0, workgroup: 64, groups: 400, values: 1e6 }
  const rows = rowsOf(CARDS.navi31, [launch, launch, { ...launch, groups: 800 }], [told])
  assert.equal(
    rows.map(({ launches, cycles }: { launches: number; cycles: number }) => [launches, cycles]),
    [
      [2, 5000],
      [1, 5833],
    ],
  )
  const sum = byFamily(rows).get('a')
  assert.equal([sum.launches, sum.cycles, sum.latency], [3, 15833, 5000])
})

test.run()
