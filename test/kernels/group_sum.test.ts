// group_sum.wgsl and column_sum.wgsl by themselves: every sharing of a workgroup, with subgroups where the device has them and without.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { defineKernel } from '../../src/gpu/index.ts'
import { COLUMN_WGSL, GROUP_WGSL } from '../../src/kernels/groups.ts'
import { expectClose, guarded } from '../../src/testing/index.ts'
import { openTestGpu, seeded } from '../support/gpu.ts'

const gpus = [await openTestGpu(), await openTestGpu({ subgroups: false })]
assert.is(gpus[1]!.subgroups, undefined)

const HEAD = `
const WG: u32 = 64;
struct Params { rounds: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
`
// The functions follow each other, and themselves, so that a barrier too few would mix what they hold.
const rows = defineKernel({
  name: 'rows',
  wgsl: `${GROUP_WGSL}${HEAD}
@compute @workgroup_size(WG)
fn main(p: Place) {
  let i = row_of(p) * LANES + lane_of(p);
  var found = vec4f();
  for (var r = 0u; r < params.rounds; r++) {
    let v = x[i] * f32(r + 1u);
    let one = group_sum1(p, v.x);
    let top = group_max(p, v.y);
    found = vec4f(group_sum2(p, v), one, top);
    found.z += group_sum1(p, 0.0 * top);
  }
  out[i] = found;
}`,
  entry: 'main',
  params: { rounds: 'u32' },
  bindings: ['read', 'write'],
})

const [GROUPS, ROUNDS] = [3, 3]
for (const gpu of gpus) {
  const how = gpu.subgroups ? `subgroups of ${gpu.subgroups.least} to ${gpu.subgroups.most}` : 'no subgroups'
  for (const workgroup of [32, 64, 128, 256]) {
    const shared = [2, 4, 8, 16, 32].filter(lanes => lanes < workgroup && workgroup % lanes === 0)
    for (const LANES of workgroup === 64 ? [...shared, 64] : [workgroup]) {
      test(`sums and maxima over ${LANES} of ${workgroup} invocations, ${how}`, async () => {
        const n = workgroup * GROUPS
        const values = seeded(2 * n, workgroup + LANES, 10).map((v, i) => (i % 2 ? v - 20 : v + 3))
        const [x, out] = [gpu.from(values), guarded(gpu, 4 * n)]
        const kernel = {
          ...rows,
          workgroup,
          constants: { LANES, SUBGROUPS: Number(gpu.subgroups !== undefined) },
        }
        gpu.launch(kernel, { rounds: ROUNDS }, [x, out.view], GROUPS)
        const found = await gpu.readFloats(out.view)
        const expected = new Float64Array(4 * n)
        for (let i = 0; i < n; i++) {
          const first = i - (i % LANES)
          const row = Array.from({ length: LANES }, (_, k) => [2 * (first + k), 2 * (first + k) + 1])
          const sum = (k: number) => row.reduce((total, at) => total + ROUNDS * values[at[k]!]!, 0)
          const top = Math.max(...row.map(([, at]) => ROUNDS * values[at!]!))
          expected.set([sum(0), sum(1), sum(0), Math.fround(top)], 4 * i)
        }
        expectClose(found, expected, 1e-6)
        // All of a row have the same bits.
        for (let i = 0; i < n; i++) {
          const first = i - (i % LANES)
          assert.equal(found.subarray(4 * i, 4 * i + 4), found.subarray(4 * first, 4 * first + 4))
        }
        await out.checkNeighbours()
      })
    }
  }
}

const columns = defineKernel({
  name: 'columns',
  wgsl: `alias E = vec2f;
${COLUMN_WGSL}${HEAD}
@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32) {
  let total = column_total(local, x[local]);
  let sum = column_sum(local, x[local] * f32(params.rounds));
  out[local] = vec4f(total, select(vec2f(), sum, local < COLUMNS));
}`,
  entry: 'main',
  params: { rounds: 'u32' },
  bindings: ['read', 'write'],
})

for (const [workgroup, COLUMNS] of [
  [64, 64],
  [64, 16],
  [256, 1],
  [256, 8],
  [256, 32],
] as const)
  test(`sums of ${COLUMNS} columns by ${workgroup} invocations`, async () => {
    const [gpu] = gpus as [(typeof gpus)[0]]
    const values = seeded(2 * workgroup, COLUMNS, 10).map(v => v + 3)
    const out = guarded(gpu, 4 * workgroup)
    gpu.launch(
      { ...columns, workgroup, constants: { COLUMNS } },
      { rounds: 7 },
      [gpu.from(values), out.view],
      1,
    )
    const expected = Array.from({ length: workgroup }, (_, local) => {
      const sums = [0, 0]
      for (let i = local % COLUMNS; i < workgroup; i += COLUMNS)
        for (const k of [0, 1]) sums[k]! += values[2 * i + k]!
      return [...sums, ...sums.map(sum => (local < COLUMNS ? 7 * sum : 0))]
    }).flat()
    expectClose(await gpu.readFloats(out.view), expected, 1e-6)
    await out.checkNeighbours()
  })

test.after(() => {
  for (const gpu of gpus) gpu.close()
})
test.run()
