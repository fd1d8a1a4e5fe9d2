// The k largest values of one long line: the largest of each block, the k best blocks, the k best of their values.
import { type Access, defineKernel, type Gpu, type Kernel, type View, withConstants } from '../gpu/index.ts'
import wgsl from '../wgsl/topk_line.ts'

const WG = 64
/** Of a GPU: a digit an invocation. */
const SHARED_WG = 256
/** Values of a line from which there are blocks, and of a block at least. */
const [LONG, LEAST] = [4096, 4]

type Sizes = 'R' | 'C' | 'k' | 'size'
const kernel = (entry: string, workgroup: number, bindings: Access[]): Kernel<Sizes> =>
  defineKernel({
    name: 'topk',
    wgsl,
    entry,
    workgroup,
    params: { R: 'u32', C: 'u32', k: 'u32', size: 'u32' },
    bindings,
  })
const tops = kernel('tops', WG, ['read', 'write'])
const topsShared = kernel('tops_shared', SHARED_WG, ['read', 'write'])
/** What an invocation orders: a software adapter's loads cost the most, a GPU wants many invocations. */
const EACH = 8
const orderOne = kernel('order', WG, ['read', 'read', 'write'])
const orderSome = withConstants(orderOne, { EACH })

/** What selects among a line's values, among keys, and among values of blocks. */
const selects = (entry: string, workgroup: number) => ({
  values: kernel(entry, workgroup, ['read', 'write']),
  keys: withConstants(kernel(entry, workgroup, ['read', 'write']), { KEYED: 1 }),
  blocks: withConstants(kernel(entry, workgroup, ['read', 'read', 'write']), { BLOCKS: 1 }),
})
const alone = selects('select_alone', 1)
const shared = selects('select_shared', SHARED_WG)

/** Values of a block: as many candidates in the k best blocks as there are blocks; 1 for none. */
function blockOf(R: number, k: number): number {
  const size = 2 ** Math.round(Math.log2(R / k) / 2)
  return R < LONG || size < LEAST ? 1 : Math.min(size, SHARED_WG)
}

/** indices [k] = where the k largest of x [R] are, the largest first, of equal ones the first. 1 <= k <= R. */
export function topOfLine(gpu: Gpu, { x, indices, R, k }: { x: View; indices: View; R: number; k: number }) {
  const gpuForms = gpu.forms.kind === 'hardware'
  const select = gpuForms ? shared : alone
  const size = blockOf(R, k)
  const found = gpu.acquire(4 * k)
  if (size === 1) gpu.launch(select.values, { R, C: R, k, size }, [x, found], 1)
  else {
    const M = Math.ceil(R / size)
    const [keys, blocks] = [gpu.acquire(4 * M), gpu.acquire(4 * k)]
    const each = gpuForms ? SHARED_WG : WG * size
    gpu.launch(gpuForms ? topsShared : tops, { R, C: M, k, size }, [x, keys], Math.ceil(R / each))
    gpu.launch(select.keys, { R: M, C: M, k, size }, [keys, blocks], 1)
    gpu.launch(select.blocks, { R, C: k * size, k, size }, [x, blocks, found], 1)
    gpu.release(keys)
    gpu.release(blocks)
  }
  const each = gpuForms ? 1 : EACH
  const sizes = { R, C: k, k, size }
  gpu.launch(gpuForms ? orderOne : orderSome, sizes, [x, found, indices], Math.ceil(k / each / WG))
  gpu.release(found)
}
