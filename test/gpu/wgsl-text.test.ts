import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate, wgslText } from '../../src/gpu/wgsl-text.ts'

test('constants are set by name and keep their type', () => {
  const source = 'const TILE: u32 = 8;\nconst RATE: f32 = 0.5;\nconst COUNT = 3;\nfn f() {}'
  assert.is(
    wgslText(source, { TILE: 4, RATE: 2, COUNT: 7 }),
    'const TILE: u32 = 4u;\nconst RATE: f32 = 2.0;\nconst COUNT = 7;\nfn f() {}',
  )
  assert.throws(() => wgslText(source, { TILES: 4 }), /no constant TILES/)
})

test('unroll repeats lines, nested, with arithmetic over constants', () => {
  const source = `const N: u32 = 2;
const M = N * 2;
// @unroll i in 0..N
let a$i = x[$(i * M + 1)];
// @unroll j in i..M
s$(i)_$j += a$i;
// @end
// @end
done`
  assert.is(
    wgslText(source),
    `const N: u32 = 2;
const M = N * 2;
let a0 = x[1];
s0_0 += a0;
s0_1 += a0;
s0_2 += a0;
s0_3 += a0;
let a1 = x[5];
s1_1 += a1;
s1_2 += a1;
s1_3 += a1;
done`,
  )
  assert.throws(() => wgslText('// @unroll i in 0..3\nx'), /@unroll i .* has no @end/)
})

test('enable directives go before the prelude', () => {
  const text = wgslText('// why\nenable subgroups;\nconst WG: u32 = 8;', { WG: 4 }, 'fn first() {}\n')
  assert.is(text, 'enable subgroups;\nfn first() {}\n// why\nconst WG: u32 = 4u;')
})

test('integer expressions follow the usual precedence', () => {
  assert.is(evaluate('2 + 3 * (4 - 1) / 2 % 5', {}), 2 + (Math.trunc((3 * 3) / 2) % 5))
  assert.is(evaluate('-a + b * -2', { a: 3, b: 4 }), -11)
  assert.throws(() => evaluate('a + nothing', { a: 1 }), /cannot evaluate 'a \+ nothing'/)
  assert.throws(() => evaluate('(1 + 2', {}), /cannot evaluate/)
})

test('enable lines come before the prelude, wherever they stand', () => {
  const text = wgslText('fn a() {}\nenable subgroups;\nfn b() {}', {}, '\nfn prelude() {}\n')
  assert.is(text, 'enable subgroups;\n\nfn prelude() {}\nfn a() {}\nfn b() {}')
})

test.run()
