// What JavaScript can hand over to the helpers: every argument in turn is nonsense, and each call ends in an error of the library's that
// names the helper.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fitsF16, gelu, numel } from '../../src/autograd/index.ts'
import { KernelgradError } from '../../src/errors.ts'
import * as reference from '../../src/reference/index.ts'
import * as testing from '../../src/testing/index.ts'
import { openTestGpu } from '../support/gpu.ts'

const gpu = await openTestGpu()
test.after(() => gpu.close())

const NONSENSE: unknown[] = [
  null,
  Number.NaN,
  -1,
  2.5,
  'x',
  {},
  [],
  [undefined],
  ['a'],
  [[1]],
  true,
  10n,
  new DataView(new ArrayBuffer(8)),
  BigInt64Array.of(1n),
  () => {},
  Symbol.iterator,
  Promise.resolve(1),
  Infinity,
]

type Call = (...given: never[]) => unknown
/** A helper, arguments that it takes, and what of the nonsense is none at that place. */
const calls: [name: string, call: Call, right: unknown[], fine: Record<number, (x: unknown) => boolean>][] = [
  ['generator', testing.generator, [1], { 0: x => x === -1 || x === 2.5 }],
  ['uniform', testing.uniform, [3, 1, { low: 0 }], { 1: isSeed, 2: isEmpty }],
  ['normal', testing.normal, [3, 1, { mean: 0 }], { 1: isSeed, 2: isEmpty }],
  ['ids', testing.ids, [3, 1, 5], { 1: isSeed }],
  ['mask', testing.mask, [3, 1, 0.5], { 1: isSeed }],
  ['permutation', testing.permutation, [3, 1], { 1: isSeed }],
  ['rowLengths', testing.rowLengths, [3, 5, 1], { 2: isSeed }],
  ['cuSeqlens', testing.cuSeqlens, [[1, 2]], { 0: x => Array.isArray(x) && !x.length }],
  ['rowIds', testing.rowIds, [[0, 2]], {}],
  ['median', testing.median, [[1, 2]], {}],
  ['maxError', testing.maxError, [[], [], {}], { 0: isEmptyArray, 1: isEmptyArray, 2: isEmpty }],
  ['rmsError', testing.rmsError, [[], []], { 0: isEmptyArray, 1: isEmptyArray }],
  ['ulpError', testing.ulpError, [[], []], { 0: isEmptyArray, 1: isEmptyArray }],
  ['packHalves', testing.packHalves, [[1, 2]], { 0: isEmptyArray }],
  ['unpackHalves', testing.unpackHalves, [new Uint32Array(2)], {}],
  ['poisoned', testing.poisoned, [3], {}],
  ['expectWritten', testing.expectWritten, [new Float32Array(2)], {}],
  ['expectUntouched', testing.expectUntouched, [testing.poisoned(2)], {}],
  [
    'expectClose',
    testing.expectClose,
    [[], [], 1, {}],
    { 0: isEmptyArray, 1: isEmptyArray, 2: x => x === 2.5, 3: isEmpty },
  ],
  ['unravel', testing.unravel, [1, [2, 3]], {}],
  ['guarded', testing.guarded, [gpu, 3], {}],
  [
    'timeLaunches',
    testing.timeLaunches,
    [gpu, () => {}, { budget: 0, sample: 0 }],
    { 1: isFunction, 2: isEmpty },
  ],
  ['benchOp', testing.benchOp, [gpu, gelu, [{ shape: [4] }], { budget: 0, sample: 0 }], { 3: isEmpty }],
  [
    'gradcheck',
    testing.gradcheck,
    [gpu, gelu, reference.gelu, [{ data: [1], shape: [1] }], {}],
    { 1: isFunction, 2: isFunction, 4: isEmpty },
  ],
  ['numel', numel, [[2]], { 0: isEmptyArray }],
  ['fitsF16', fitsF16, [[4]], { 0: Array.isArray }],
]
function isSeed(x: unknown): boolean {
  return x === -1 || x === 2.5 || typeof x === 'function'
}
function isEmpty(x: unknown): boolean {
  return typeof x === 'object' && x !== null && Object.getPrototypeOf(x) === Object.prototype
}
function isEmptyArray(x: unknown): boolean {
  return Array.isArray(x) && !x.length
}
function isFunction(x: unknown): boolean {
  return typeof x === 'function'
}

for (const [name, call, right, fine] of calls)
  test(`${name} refuses nonsense in every place`, async () => {
    await (call as (...all: unknown[]) => unknown)(...right)
    for (const at of right.keys())
      for (const nonsense of NONSENSE) {
        if (fine[at]?.(nonsense)) continue
        const given = right.with(at, nonsense)
        let fault: unknown
        try {
          await (call as (...all: unknown[]) => unknown)(...given)
        } catch (error) {
          fault = error
        }
        const what = `${name}, argument ${at}: ${String(nonsense)} (${typeof nonsense})`
        assert.instance(fault, KernelgradError, `${what} ended in ${fault}`)
        if (name !== 'expectWritten' && name !== 'expectUntouched' && name !== 'expectClose')
          assert.ok((fault as Error).message.includes(name), `${what}: ${(fault as Error).message}`)
      }
  })

test.run()
