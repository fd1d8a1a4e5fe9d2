// How a kernel's activations and their gradients lie in memory: S in storage for E, four or one float32, in registers. With F16
// they are halves, four at a time (f16.wgsl, which stands before this text); E is then vec4f, and all arithmetic float32.

const F16: u32 = 0;

// @if F16
alias S = vec2u;
fn load(s: S) -> E { return unpack4(s); }
fn keep(v: E) -> S { return pack4(v); }
// @else
alias S = E;
fn load(s: S) -> E { return s; }
fn keep(v: E) -> S { return v; }
// @end
