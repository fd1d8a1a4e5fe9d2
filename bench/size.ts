// The model's shapes that kernels are timed at.
import { generator, rowLengths } from '../src/testing/index.ts'

/** Shapes of one model and batch: B rows padded to S, H hidden, A heads, F feed-forward, V word table rows. */
export interface Size {
  name: 'full' | 'small' | 'tiny' | 'quick'
  B: number
  S: number
  H: number
  A: number
  F: number
  V: number
  /** Widths of the MLP, input first. */
  mlp: number[]
  /** Elements of one arena of dense parameters. */
  arena: number
  /** Tokens in each packed row, and their sum. */
  lengths: number[]
  T: number
}

const size = (given: Omit<Size, 'lengths' | 'T'>): Size => {
  const lengths = rowLengths(given.B, given.S, generator(7))
  return { ...given, lengths, T: lengths.reduce((sum, n) => sum + n, 0) }
}

/** The notebook's model (its word table cut to 20,000 rows), the two smaller ones, and shapes for a run in a test. */
export const SIZES: Record<Size['name'], Size> = {
  full: size({
    name: 'full',
    B: 64,
    S: 24,
    H: 768,
    A: 12,
    F: 3072,
    V: 20000,
    mlp: [873, 1024, 512, 256],
    arena: 1 << 22,
  }),
  small: size({
    name: 'small',
    B: 32,
    S: 24,
    H: 256,
    A: 4,
    F: 1024,
    V: 20000,
    mlp: [361, 1024, 512, 256],
    arena: 1 << 21,
  }),
  tiny: size({
    name: 'tiny',
    B: 16,
    S: 16,
    H: 64,
    A: 4,
    F: 256,
    V: 2000,
    mlp: [169, 1024, 512, 256],
    arena: 1 << 20,
  }),
  quick: size({ name: 'quick', B: 3, S: 5, H: 16, A: 2, F: 20, V: 50, mlp: [21, 12, 8], arena: 1 << 10 }),
}

/** cuSeqlens [B + 1] and rowIds [T] of packed rows. */
export function packed({ lengths }: Size): { cuSeqlens: Uint32Array; rowIds: Uint32Array } {
  const cuSeqlens = new Uint32Array(lengths.length + 1)
  for (const [b, n] of lengths.entries()) cuSeqlens[b + 1] = cuSeqlens[b]! + n
  return { cuSeqlens, rowIds: Uint32Array.from(lengths.flatMap((n, b) => Array(n).fill(b))) }
}
