// What a WGSL text declares, as far as a kernel's declaration can contradict it: entry points, bindings, the struct of parameters.
// It is no parser: what it does not understand it leaves to the compiler, whose word comes later.
import type { WgslLine } from './wgsl-text.ts'

/** `@group(g) @binding(b) var<space, access> name: type` */
interface DeclaredBinding {
  group: number
  binding: number
  /** 'uniform', 'storage', … */
  space: string
  /** As WGSL has it: 'read' unless 'read_write' is written. */
  access: string
  name: string
  type: string
  /** Index of its line. */
  line: number
}

/** What a text declares. */
export interface Declared {
  /** Names of the compute entry points. */
  entries: string[]
  bindings: DeclaredBinding[]
  /** Members of each struct: name and type, attributes and all. */
  structs: Map<string, { name: string; type: string }[]>
  aliases: Map<string, string>
  /** The bindings that a function reaches, by itself or through others. One that shares its name with a local variable is left out. */
  reachedFrom(entry: string): DeclaredBinding[]
}

interface Item {
  text: string
  line: number
}

/** Declarations of a module, or nothing where its braces do not match: the compiler says what is wrong with it. */
export function declared(lines: readonly WgslLine[]): Declared | undefined {
  const items = topLevel(lines.map(({ text }) => text).join('\n'))
  if (!items) return undefined
  const found = { entries: [] as string[], bindings: [] as DeclaredBinding[] }
  const structs: Declared['structs'] = new Map()
  const aliases: Declared['aliases'] = new Map()
  const texts = new Map<string, string>()
  for (const { text, line } of items) {
    const fn = /(^|[\s)])fn\s+(\w+)/.exec(text)?.[2]
    const struct = /^\s*struct\s+(\w+)\s*\{([^}]*)\}/.exec(text)
    const alias = /^\s*alias\s+(\w+)\s*=\s*([^;]+)/.exec(text)
    if (fn) {
      texts.set(fn, text)
      if (/@compute\b/.test(text.slice(0, text.indexOf('{')))) found.entries.push(fn)
    } else if (struct) structs.set(struct[1]!, members(struct[2]!))
    else if (alias) aliases.set(alias[1]!, alias[2]!.trim())
    else {
      const name = /\b(?:const|override)\s+(\w+)/.exec(text)?.[1]
      if (name) texts.set(name, text)
      const binding = readBinding(text, line)
      if (binding) found.bindings.push(binding)
    }
  }
  return {
    ...found,
    structs,
    aliases,
    reachedFrom(entry) {
      const reached = new Set<DeclaredBinding>()
      const [seen, todo] = [new Set([entry]), [entry]]
      for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
        const text = texts.get(name) ?? ''
        // A name behind a dot is a member's.
        const words = new Set(text.match(/(?<![.\w])[A-Za-z_]\w*/g))
        for (const word of words) {
          if (texts.has(word) && !seen.has(word)) {
            seen.add(word)
            todo.push(word)
          }
        }
        for (const binding of found.bindings) {
          const { name } = binding
          if (!words.has(name)) continue
          const local = new RegExp(
            `\\b(?:let|const|var(?:\\s*<\\s*function\\s*>)?)\\s+${name}\\b|\\b${name}\\s*:`,
          )
          if (!local.test(text)) reached.add(binding)
        }
      }
      return [...reached]
    },
  }
}

function readBinding(text: string, line: number): DeclaredBinding | undefined {
  const variable = /\bvar\s*<\s*(\w+)\s*(?:,\s*(\w+)\s*,?\s*)?>\s*(\w+)\s*:\s*([^;=]+)/.exec(text)
  const group = /@group\(\s*(\d+)[ui]?\s*\)/.exec(text)
  const binding = /@binding\(\s*(\d+)[ui]?\s*\)/.exec(text)
  if (!(variable && group && binding)) return undefined
  const [, space, access = 'read', name, type] = variable
  return {
    group: Number(group[1]),
    binding: Number(binding[1]),
    space: space!,
    access,
    name: name!,
    type: type!.trim(),
    line,
  }
}

/** `a: u32, b: vec2<f32>`: commas between <> and () belong to types and attributes. */
function members(body: string): { name: string; type: string }[] {
  const out: { name: string; type: string }[] = []
  let depth = 0
  let start = 0
  const end = (at: number) => {
    const [head, ...type] = body.slice(start, at).split(':')
    const attributes = head!.match(/@\w+(\s*\([^)]*\))?/g)?.join(' ')
    const name = /(\w+)\s*$/.exec(head!)?.[1]
    if (name && type.length)
      out.push({ name, type: [attributes, type.join(':').trim()].filter(Boolean).join(' ') })
    start = at + 1
  }
  for (let i = 0; i < body.length; i++) {
    const c = body[i]!
    if (c === '<' || c === '(') depth++
    else if (c === '>' || c === ')') depth--
    else if (c === ',' && depth === 0) end(i)
  }
  end(body.length)
  return out
}

/** A module's declarations without comments, each with the index of the line it starts in. */
function topLevel(text: string): Item[] | undefined {
  const plain = withoutComments(text)
  if (plain === undefined) return undefined
  const items: Item[] = []
  let [depth, start, line, startLine] = [0, 0, 0, 0]
  for (let i = 0; i < plain.length; i++) {
    const c = plain[i]!
    if (c === '\n') line++
    if (start === i && /\s/.test(c)) {
      start = i + 1
      startLine = line
      continue
    }
    if (c === '{') depth++
    else if (c === '}') depth--
    if (depth < 0) return undefined
    if (depth === 0 && (c === ';' || c === '}')) {
      items.push({ text: plain.slice(start, i + 1), line: startLine })
      start = i + 1
      startLine = line
    }
  }
  return depth === 0 && plain.slice(start).trim() === '' ? items : undefined
}

/** Comments, which may be nested, as blanks; line ends stay. Nothing where one does not end. */
function withoutComments(text: string): string | undefined {
  let out = ''
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const two = text.slice(i, i + 2)
    if (depth === 0 && two === '//') {
      const end = text.indexOf('\n', i)
      if (end < 0) return out
      i = end
      out += '\n'
    } else if (two === '/*') {
      depth++
      i++
    } else if (depth && two === '*/') {
      depth--
      i++
      out += ' '
    } else if (depth === 0 || text[i] === '\n') out += text[i]
  }
  return depth ? undefined : out
}
