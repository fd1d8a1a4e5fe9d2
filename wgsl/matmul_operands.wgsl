// How the forms of the matrix product read a and b: one, two or four values at a time, float32, or halves with A_16, B_16 (an
// operand's rows are then multiples of four). f16.wgsl stands before this text. The arithmetic is float32 either way.

const A_16: u32 = 0;
const B_16: u32 = 0;

// @if A_16
@group(0) @binding(1) var<storage, read> a4: array<vec2u>;
@group(0) @binding(1) var<storage, read> a2: array<u32>;
fn a_4(i: u32) -> vec4f { return unpack4(a4[i]); }
fn a_2(i: u32) -> vec2f { return unpack2x16float(a2[i]); }
fn a_1(i: u32) -> f32 { return unpack2x16float(a2[i >> 1u] >> ((i & 1u) * 16u)).x; }
// @else
@group(0) @binding(1) var<storage, read> a4: array<vec4f>;
@group(0) @binding(1) var<storage, read> a2: array<vec2f>;
@group(0) @binding(1) var<storage, read> a1: array<f32>;
fn a_4(i: u32) -> vec4f { return a4[i]; }
fn a_2(i: u32) -> vec2f { return a2[i]; }
fn a_1(i: u32) -> f32 { return a1[i]; }
// @end

// @if B_16
@group(0) @binding(2) var<storage, read> b4: array<vec2u>;
@group(0) @binding(2) var<storage, read> b2: array<u32>;
fn b_4(i: u32) -> vec4f { return unpack4(b4[i]); }
fn b_2(i: u32) -> vec2f { return unpack2x16float(b2[i]); }
fn b_1(i: u32) -> f32 { return unpack2x16float(b2[i >> 1u] >> ((i & 1u) * 16u)).x; }
// @else
@group(0) @binding(2) var<storage, read> b4: array<vec4f>;
@group(0) @binding(2) var<storage, read> b2: array<vec2f>;
@group(0) @binding(2) var<storage, read> b1: array<f32>;
fn b_4(i: u32) -> vec4f { return b4[i]; }
fn b_2(i: u32) -> vec2f { return b2[i]; }
fn b_1(i: u32) -> f32 { return b1[i]; }
// @end
