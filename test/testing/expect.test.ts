// Comparisons, measures, the gradient check of plain functions: nothing here opens a device, nor loads one.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ShapeError } from '../../src/errors.ts'
import * as reference from '../../src/reference/index.ts'
import {
  CloseError,
  expectClose,
  gradcheck,
  maxError,
  packHalves,
  rmsError,
  ulpError,
  uniform,
  unpackHalves,
  unravel,
} from '../../src/testing/index.ts'

function thrown(body: () => void): Error {
  try {
    body()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

test('expectClose shows the worst element, its index in every dimension, and the bound', () => {
  const expected = Float64Array.from({ length: 24 }, (_, i) => i / 10)
  const actual = expected.slice()
  actual[3]! += 0.01
  actual[17]! -= 0.1
  expectClose(actual, expected, 0.05)
  const error = thrown(() => expectClose(actual, expected, 0.004, { label: 'out', shape: [2, 3, 4] }))
  assert.instance(error, CloseError)
  const { index, bound, error: size } = error as CloseError
  assert.equal(index, [1, 1, 1])
  assert.is(bound, 0.004)
  assert.ok(Math.abs(size - 0.1 / 2.3) < 1e-12)
  assert.match(
    error.message,
    /^out: worst element \[1, 1, 1\] of \[2, 3, 4\]: got 1\.59\d*, expected 1\.7, error 0\.04348 of the largest value 2\.3, bound 0\.004; 2 of 24 are over it$/,
  )
  assert.match(
    thrown(() => expectClose(actual, expected, 0.05, { absolute: true })).message,
    /^values: worst element \[17\]: .* error 0\.1, bound 0\.05; 1 of 24 are over it$/,
  )
})

test('NaN is never close, an infinity only to itself, and lengths must agree', () => {
  assert.throws(() => expectClose([1, NaN], [1, 2], 1e9), /worst element \[1\]: got NaN, expected 2/)
  assert.throws(() => expectClose([1, 2], [1, NaN], 1e9), /expected NaN/)
  assert.throws(() => expectClose([1, Infinity], [1, 5], 1e9))
  assert.throws(() => expectClose([1, 5], [1, Infinity], 1e9))
  expectClose([Infinity, 1], [Infinity, 1], 0)
  assert.throws(() => expectClose([Infinity, 2], [Infinity, 1], 0.5), /worst element \[1\]/)
  expectClose([], [], 0)
  assert.instance(
    thrown(() => expectClose([1], [1, 2], 1)),
    ShapeError,
  )
  assert.throws(() => expectClose([1, 2], [1, 2], 1, { shape: [3] }), /2 elements do not have shape \[3\]/)
})

test('measures', () => {
  assert.equal(maxError([1, 2.5], [1, 2]), { error: 0.25, index: 1, scale: 2 })
  assert.equal(maxError([0, 0.5], [0, 0]), { error: 0.5, index: 1, scale: 1 })
  assert.ok(Math.abs(rmsError([1, 3], [1, 2]) - Math.sqrt(1 / 5)) < 1e-15)
  assert.is(rmsError([], []), 0)
  const one = Math.fround(1)
  assert.is(ulpError([one + 2 ** -23], [one]), 1)
  assert.is(ulpError([one - 2 ** -24], [one]), 1)
  assert.is(ulpError([-0, 2 ** -149], [0, -(2 ** -149)]), 2, 'through zero')
  assert.is(ulpError([NaN], [1]), Infinity)
  assert.equal(unravel(23, [2, 3, 4]), [1, 2, 3])
})

test('halves are packed in pairs, low bits first', () => {
  const values = uniform(10, 1)
  assert.equal(unpackHalves(packHalves(values)), reference.roundF16(values))
  assert.equal(packHalves([1, -2]), Uint32Array.of(0xc0003c00))
  assert.throws(() => packHalves([1]), /halves are packed in pairs, got 1/)
})

test('gradcheck of a plain function and its backward needs no device', async () => {
  const x = uniform(13, 2)
  const forward = (x: Float64Array) => reference.gelu(x)
  const backward = (dy: Float64Array, x: Float64Array) => [reference.geluBackward({ x, dy })]
  const error = await gradcheck({ forward, backward }, [x])
  assert.ok(error > 0 && error < 1e-6, `${error}`)
  const wrong = (dy: Float64Array, x: Float64Array) => [
    reference.geluBackward({ x, dy }).map((v, i) => (i === 5 ? v + 0.01 : v)),
  ]
  try {
    await gradcheck({ forward, backward: wrong }, [x])
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /^gradcheck: input 0 element 5: the backward step says/)
  }
})

test('what would test nothing, or mean nothing, is refused', async () => {
  for (const bound of [Infinity, NaN, -1, undefined])
    assert.throws(
      () => expectClose([1], [1], bound as number),
      /expectClose: bound is .*, expected a finite number/,
    )
  assert.throws(() => expectClose([1], [1], 0, { absolut: true } as object), /did you mean 'absolute'/)
  assert.throws(() => uniform(2.5, 1), /uniform: n is 2.5, expected a whole number/)
  assert.throws(() => uniform(2, NaN), /uniform: seed is NaN/)
  assert.throws(() => uniform(2, 1, { high: Infinity }), /uniform: high is Infinity/)
  const one = { forward: (x: Float64Array) => x, backward: (dy: Float64Array) => [dy] }
  const refusal = (...given: unknown[]) =>
    (gradcheck as (...all: unknown[]) => Promise<number>)(one, ...given).then(
      () => '',
      error => `${error.name}: ${error.message}`,
    )
  assert.match(
    await refusal([]),
    /ArgumentError: gradcheck: inputs are an array of 0, expected an array of one or more/,
  )
  assert.match(await refusal([[1]], { tolerance: NaN }), /ConfigError: gradcheck: tolerance is NaN/)
  assert.match(await refusal([[1]], { tol: 1 }), /'tol' is unknown; did you mean 'tolerance'/)
  assert.is(await refusal([[1]], { tolerance: 1e-6 }), '')
})

test('importing kernelgrad/testing loads no room that has to do with a device', () => {
  const seen = new Set<string>()
  const visit = (file: string) => {
    if (seen.has(file)) return
    seen.add(file)
    for (const [, target] of readFileSync(file, 'utf8').matchAll(
      /^(?:import|export) [^']*from '(\.[^']+)'/gm,
    ))
      visit(join(dirname(file), target!))
  }
  const src = fileURLToPath(new URL('../../src/', import.meta.url)) // dist/src, as compiled
  visit(join(src, 'testing/index.js'))
  const rooms = new Set([...seen].map(file => file.slice(src.length).split('/')[0]))
  assert.equal([...rooms].sort(), ['check.js', 'errors.js', 'reference', 'testing'])
  const own = readdirSync(join(src, 'testing')).filter(file => file.endsWith('.js'))
  assert.is([...seen].filter(file => file.includes('/testing/')).length, own.length)
})

test.run()
