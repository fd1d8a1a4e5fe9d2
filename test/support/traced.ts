// Which addresses neighbouring lanes touch: a kernel's text is changed so that every access to a storage buffer also writes its index down, lane by
// lane of the first workgroup, and is then run.
import { type Gpu, type Kernel, type View, wgslText } from '../../src/gpu/index.ts'

/** A place in a kernel's text where it reads or writes a buffer. */
interface Site {
  /** Of the buffer. */
  name: string
  /** Bytes of an element. */
  bytes: number
  /** As it stands in the text. */
  text: string
}

/** A place, and the first byte that each lane of a workgroup touched there; undefined where it did not. */
export interface Traced extends Site {
  kernel: string
  lanes: (number | undefined)[]
}

const SIZES: Record<string, number> = {
  f32: 4,
  u32: 4,
  i32: 4,
  f16: 2,
  vec2h: 4,
  vec4h: 8,
  vec2f: 8,
  vec2u: 8,
  vec4f: 16,
  vec4u: 16,
}

/** Bytes of an element by the name of its type, through aliases; undefined for structs. */
function sizeOf(type: string, text: string): number | undefined {
  const plain = type.replace(/\s/g, '').replace(/^vec([24])<([fui])(?:32)>$/, 'vec$1$2')
  const alias = new RegExp(`^\\s*alias ${plain} *= *([^;]+);`, 'm').exec(text)?.[1]
  return SIZES[plain] ?? (alias === undefined ? undefined : sizeOf(alias, text))
}

/** Where the bracket that opens at `open` ends. */
function closing(text: string, open: number, pair = '[]'): number {
  let depth = 0
  for (let i = open; i < text.length; i++) {
    if (text[i] === pair[0]) depth++
    if (text[i] === pair[1] && --depth === 0) return i
  }
  throw new Error(`no bracket ends '${text.slice(open, open + 40)}'`)
}

/** Without the other entry points, whose bindings may be others. */
function alone(text: string, entry: string): string {
  let out = ''
  let from = 0
  for (const { index, 1: name } of text.matchAll(/@compute\b[^{]*?\bfn (\w+)\(/g)) {
    if (name === entry || index < from) continue
    out += text.slice(from, index)
    from = closing(text, text.indexOf('{', index), '{}') + 1
  }
  return out + text.slice(from)
}

/** How an entry point names a builtin value: a parameter of its own, or a member of one. */
function given(text: string, signature: string, builtin: string): string | undefined {
  const own = new RegExp(`@builtin\\(${builtin}\\) *(\\w+)`)
  const found = own.exec(signature)?.[1]
  if (found) return found
  const [, name, type] = /\((\w+): *(\w+)\)/.exec(signature) ?? []
  const members = new RegExp(`struct ${type} \\{([^}]*)\\}`).exec(text)?.[1] ?? ''
  const member = own.exec(members)?.[1]
  return member && `${name}.${member}`
}

/** The kernel with one more buffer, [lanes, sites] uint32, for an index and 1 each; and its sites. */
function trace(kernel: Kernel): { kernel: Kernel; sites: Site[] } {
  const source = kernel.prelude === undefined ? kernel.wgsl : `${kernel.prelude}\n${kernel.wgsl}`
  const whole = wgslText(source, { WG: kernel.workgroup, ...kernel.constants }).replace(/\/\/.*$/gm, '')
  const plain = alone(whole, kernel.entry)
  const sites: Site[] = []
  const buffers = new Map<string, number>()
  for (const [, name, type] of plain.matchAll(/var<storage[^>]*>\s*(\w+)\s*:\s*array<(.+)>\s*;/g)) {
    const bytes = sizeOf(type!, plain)
    if (bytes !== undefined) buffers.set(name!, bytes)
  }
  const access = new RegExp(`(?<![.\\w])(${[...buffers.keys()].join('|')})\\[`, 'g')
  const rewrite = (text: string): string => {
    let out = ''
    let from = 0
    for (const match of text.matchAll(access)) {
      if (match.index < from) continue
      const open = match.index + match[0].length - 1
      const close = closing(text, open)
      const index = text.slice(open + 1, close)
      const name = match[1]!
      const site = sites.push({ name, bytes: buffers.get(name)!, text: `${name}[${index}]` }) - 1
      out += `${text.slice(from, open + 1)}traced(${site}u, u32(${rewrite(index)}))]`
      from = close + 1
    }
    return out + text.slice(from)
  }
  const entry = new RegExp(`(fn ${kernel.entry}\\([^{]*\\)\\s*\\{)`)
  const signature = entry.exec(plain)?.[1] ?? ''
  const [lane, group] = [
    given(plain, signature, 'local_invocation_index'),
    given(plain, signature, 'workgroup_id'),
  ]
  if (!lane || !group)
    throw new Error(`${kernel.name}.${kernel.entry} takes no lane or workgroup: ${signature}`)
  const body = rewrite(plain).replace(
    entry,
    `$1 tracedLane = select(0xffffffffu, ${lane}, all(${group} == vec3u(0)));`,
  )
  const wgsl = `${body}
@group(0) @binding(${kernel.bindings.length + 1}) var<storage, read_write> tracedIndex: array<u32>;
var<private> tracedLane: u32;
fn traced(site: u32, i: u32) -> u32 {
  if (tracedLane != 0xffffffffu) {
    let at = tracedLane * ${sites.length}u + site;
    if (tracedIndex[at] == 0u) { tracedIndex[at] = i + 1u; }
  }
  return i;
}
`
  const { prelude: _, ...rest } = kernel
  return { kernel: { ...rest, wgsl, constants: {}, bindings: [...kernel.bindings, 'write'] }, sites }
}

/** Lets a device trace the first launch of each kernel it is given; `take` reads what lanes touched. */
export function traceLaunches(gpu: Gpu) {
  const launch = gpu.launch.bind(gpu)
  const seen = new Set<string>()
  const logs: { kernel: Kernel; sites: Site[]; log: View }[] = []
  gpu.launch = (kernel, params, views, grid) => {
    const key = JSON.stringify([kernel.name, kernel.entry, kernel.constants, kernel.wgsl.length])
    if (seen.has(key) || kernel.workgroup === 1) return launch(kernel, params, views, grid)
    seen.add(key)
    const traced = trace(kernel)
    const log = gpu.acquire(4 * kernel.workgroup * traced.sites.length)
    gpu.clear(log)
    launch(traced.kernel, params, [...views, log], grid)
    logs.push({ kernel, sites: traced.sites, log })
  }
  return {
    async take(): Promise<Traced[]> {
      const all: Traced[] = []
      for (const { kernel, sites, log } of logs.splice(0)) {
        const indices = await gpu.readUints(log)
        for (const [s, site] of sites.entries()) {
          const lanes = Array.from({ length: kernel.workgroup }, (_, lane) => {
            const index = indices[lane * sites.length + s]!
            return index ? (index - 1) * site.bytes : undefined
          })
          if (lanes.some(at => at !== undefined))
            all.push({ ...site, kernel: `${kernel.name}.${kernel.entry}`, lanes })
        }
        gpu.release(log)
      }
      return all
    },
  }
}
