import { test } from 'uvu'
import { layerNorm, layerNormBackward } from '../../src/reference/index.ts'
import { checkGradient, close, dot, random } from './compare.ts'
import { golden } from './golden.ts'

const ops = golden('ops')

for (const name of ['1x1_1', '5x7_1', '17x768_1', '3x64_10000', '3x64_1e-07']) {
  ops.test(`layernorm_${name} agrees with PyTorch`, () => {
    const read = (tensor: string) => ops.read(`layernorm_${name}.${tensor}`)
    const [rows, H] = ops.shape(`layernorm_${name}.x`) as [number, number]
    const weight = read('weight')
    const { y, ...saved } = layerNorm({ x: read('x'), weight, bias: read('bias'), rows, H, eps: 1e-12 })
    close(y, read('y'), 2e-7, 'y')
    const { dx, dweight, dbias } = layerNormBackward({ dy: read('dy'), weight, rows, H, ...saved })
    close(dx, read('dx'), 2e-7, 'dx')
    close(dweight, read('dweight'), 2e-7, 'dweight')
    close(dbias, read('dbias'), 2e-7, 'dbias')
  })
}

test('backward against differences, with a residual', () => {
  const [rows, H] = [4, 7]
  const given = { weight: random(H), bias: random(H), rows, H, eps: 1e-5 }
  const [x, residual, dy] = [random(rows * H), random(rows * H), random(rows * H)]
  const { dx, dweight, dbias } = layerNormBackward({ dy, ...given, ...layerNorm({ x, residual, ...given }) })
  const loss = (change: object) => dot(layerNorm({ x, residual, ...given, ...change }).y, dy)
  checkGradient('dx', x => loss({ x }), x, dx)
  checkGradient('dresidual', residual => loss({ residual }), residual, dx)
  checkGradient('dweight', weight => loss({ weight }), given.weight, dweight)
  checkGradient('dbias', bias => loss({ bias }), given.bias, dbias)
})

test.run()
