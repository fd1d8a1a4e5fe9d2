// The same in float64 and plain loops: what the kernel is held against.

const sigmoid = v => 1 / (1 + Math.exp(-v))

/** gate, up: [n]. Result [n]. */
export const swiglu = (gate, up) => Float64Array.from(gate, (g, i) => g * sigmoid(g) * up[i])

/** dy: [n], gradient of the result. Gradients of gate and up, [n] each. */
export const swigluBackward = (dy, gate, up) => [
  Float64Array.from(gate, (g, i) => dy[i] * up[i] * sigmoid(g) * (1 + g * (1 - sigmoid(g)))),
  Float64Array.from(gate, (g, i) => dy[i] * g * sigmoid(g)),
]
