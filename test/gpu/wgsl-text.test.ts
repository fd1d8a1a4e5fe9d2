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

test('if keeps the lines of one side, within what is unrolled too', () => {
  const source = `const N: u32 = 3;
// @if N/4
wide
// @if N%4
odd
// @end
// @else
narrow
// @unroll i in 0..N
// @if i%2
odd$i
// @else
even$i
// @end
// @end
// @end
done`
  const text = (N: number) => wgslText(source, { N }).split('\n').slice(1).join(' ')
  assert.is(text(2), 'narrow even0 odd1 done')
  assert.is(text(4), 'wide done')
  assert.is(text(7), 'wide odd done')
  assert.is(wgslText('// @if 0\nx\n// @end\ny'), 'y')
  assert.is(wgslText('// @if 1-2\nx\n// @end\ny'), 'x\ny')
})

test('directives that mean nothing are refused', () => {
  assert.throws(() => wgslText('// @if 1\nx'), /@if 1 .* has no @end/)
  assert.throws(() => wgslText('// @if A\nx\n// @end'), /cannot evaluate 'A'/)
  for (const condition of ['!N', 'N == 1', 'N > 1', 'N &&', '1.5'])
    assert.throws(() => wgslText(`const N: u32 = 1;\n// @if ${condition}\nx\n// @end`), /cannot evaluate/)
  for (const [line, source] of [
    ['@end', 'x\n// @end'],
    ['@else', 'x\n// @else\ny'],
    ['@else', '// @unroll i in 0..2\nx\n// @else\ny\n// @end'],
    ['@else', '// @if 0\nx\n// @else\ny\n// @else\nz\n// @end'],
    ['@if', '// @if\nx\n// @end'],
    ['@unroll i 0..2', '// @unroll i 0..2\nx\n// @end'],
  ])
    assert.throws(() => wgslText(source!), new RegExp(`'// ${line}' .* is no .* and ends none`))
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
