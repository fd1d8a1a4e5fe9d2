import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { erf, erfc, gelu, geluBackward } from '../../src/reference/index.ts'
import { checkGradient, dot, random } from './compare.ts'
import { golden } from './golden.ts'

const ops = golden('ops')

// The series of DLMF 7.6.2 summed with 120 decimal digits, at the float64 nearest to x.
const ERFC = [
  [0, 1],
  [1e-10, 0.999999999887162],
  [0.5, 0.4795001221869535],
  [1, 0.15729920705028513],
  [1.499, 0.034013962348143315],
  [1.5, 0.033894853524689274],
  [2, 0.004677734981047266],
  [3, 2.209049699858544e-5],
  [5, 1.537459794428035e-12],
  [10, 2.088487583762545e-45],
] as const

test('erf and erfc against values computed with 120 digits', () => {
  for (const [x, value] of ERFC) {
    assert.ok(Math.abs(erf(x) - (1 - value)) < 1e-15, `erf(${x}) = ${erf(x)}`)
    assert.is(erf(-x) + erf(x), 0)
    const error = Math.abs(erfc(x) / value - 1)
    assert.ok(error < 1e-13, `erfc(${x}) = ${erfc(x)}, expected ${value}`)
    assert.ok(Math.abs(erfc(-x) - (2 - value)) < 1e-15, `erfc(${-x}) = ${erfc(-x)}`)
  }
})

test('erf has no step where the series gives way to the fraction', () => {
  const [below, above] = [erf(1.5 - 1e-12), erf(1.5 + 1e-12)]
  const slope = (2 / Math.sqrt(Math.PI)) * Math.exp(-2.25)
  assert.ok(Math.abs(above - below - 2e-12 * slope) < 1e-15, `${below}, ${above}`)
})

ops.test('gelu agrees with PyTorch', () => {
  const x = ops.read('gelu.x')
  const y = gelu(x)
  const dx = geluBackward({ x, dy: new Float64Array(x.length).fill(1) })
  for (let i = 0; i < x.length; i++) {
    assert.ok(Math.abs(y[i]! - ops.read('gelu.y')[i]!) < 4e-15, `gelu(${x[i]}) = ${y[i]}`)
    assert.ok(Math.abs(dx[i]! - ops.read('gelu.dx')[i]!) < 4e-15, `gelu'(${x[i]}) = ${dx[i]}`)
  }
})

test('backward against differences', () => {
  const x = random(41).map(value => 4 * value)
  const dy = random(41)
  checkGradient('dx', x => dot(gelu(x), dy), x, geluBackward({ x, dy }))
})

test.run()
