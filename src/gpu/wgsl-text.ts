// The only text work done on WGSL files: a prelude is prepended (after `enable` and `diagnostic` lines), constants are set, and two
// directives are followed.
//
//   const TILE: u32 = 8;          // a launcher may set TILE: the value on this line is replaced
//   // @unroll r in 0..TILE       // repeats the lines up to its @end with $r = 0, 1, … TILE - 1
//   acc$r = fma(a, b$(r + 1), acc$r);
//   // @end
//   // @if TILE/4                 // keeps the lines up to its @else where the value is not 0, and those from there where it is 0
//   alias E = vec4f;
//   // @else
//   alias E = f32;
//   // @end
//
// Software adapters keep indexed local arrays in memory and WGSL demands constant lanes for broadcasts, so a register
// tile has to be unrolled in the text. `$r` is a loop variable's value, `$(…)` integer arithmetic over loop variables
// and constants.
import { ConfigError } from '../errors.ts'

/** Values for the lines `const NAME: type = value;` of a WGSL text, by name. */
export type Constants = Record<string, number>

/** A line of a final text, and the number of the source line it came from (from 1; 0 for the prelude's). */
export interface WgslLine {
  text: string
  source: number
}

/** A WGSL module's final lines. Integers become `u32` literals where the constant's declared type is `u32`. */
export function wgslLines(source: string, constants: Constants = {}, prelude = ''): WgslLine[] {
  let text = source
  const indent = indentOf(source)
  for (const [name, value] of Object.entries(constants)) {
    const line = new RegExp(`^(${indent}const ${name}\\b[^=]*= ?)[^;]+;`, 'm')
    if (!line.test(text)) {
      const size = name === 'WG' ? ', the workgroup size, and @workgroup_size(WG) before the entry point' : ''
      throw new ConfigError(
        `the WGSL text declares no constant ${name} to set to ${value}; write the line \`const ${name}: u32 = ${value};\`${size}`,
      )
    }
    text = text.replace(line, (_, head: string) => `${head}${literal(value, head)};`)
  }
  const numbered = text.split('\n').map((text, i) => ({ text, source: i + 1 }))
  const lines = expand(numbered, readConstants(text))
  // WGSL wants `enable` and `diagnostic` before all else, the prelude included.
  const isEnable = ({ text }: WgslLine) => /^\s*(enable |diagnostic\()/.test(text)
  const before = prelude
    ? prelude
        .replace(/\n$/, '')
        .split('\n')
        .map(text => ({ text, source: 0 }))
    : []
  return [...lines.filter(isEnable), ...before, ...lines.filter(line => !isEnable(line))]
}

/** The final text: `wgslLines`, joined. */
export const wgslText = (source: string, constants?: Constants, prelude?: string): string =>
  wgslLines(source, constants, prelude)
    .map(({ text }) => text)
    .join('\n')

/** What every line begins with, as in a template literal that follows the code around it: constants of a module stand there. */
function indentOf(text: string): string {
  const indents = text.split('\n').flatMap(line => (line.trim() ? [/^[ \t]*/.exec(line)![0]] : []))
  return indents.reduce((least, indent) => (indent.length < least.length ? indent : least), indents[0] ?? '')
}

function literal(value: number, head: string): string {
  if (/: *f32/.test(head)) return Number.isInteger(value) ? `${value}.0` : `${value}`
  return `${value}${/: *u32/.test(head) ? 'u' : ''}`
}

function readConstants(text: string): Constants {
  const found: Constants = {}
  for (const [, name, value] of text.matchAll(
    new RegExp(`^${indentOf(text)}const (\\w+)\\b[^=]*= ?([^;]+);`, 'gm'),
  )) {
    if (/^[\w\s+\-*/%()]+$/.test(value!)) {
      const number = tryEvaluate(value!.replace(/(\d)u\b/g, '$1'), found)
      if (number !== undefined) found[name!] = number
    }
  }
  return found
}

function tryEvaluate(expression: string, names: Constants): number | undefined {
  return /[A-Za-z_]/.test(expression.replace(/\b[A-Za-z_]\w*\b/g, name => (name in names ? '' : name)))
    ? undefined
    : evaluate(expression, names)
}

const OPEN = /^\s*\/\/ @(?:unroll (\w+) in (.+)\.\.(.+)|if (.+))$/
const CLOSE = /^\s*\/\/ @(else|end)\s*$/

function expand(lines: WgslLine[], names: Constants): WgslLine[] {
  const out: WgslLine[] = []
  for (let i = 0; i < lines.length; i++) {
    const { text, source } = lines[i]!
    const open = OPEN.exec(text)
    if (!open) {
      if (/^\s*\/\/ @(unroll|if|else|end)\b/.test(text))
        throw new ConfigError(
          `'${text.trim()}' in the WGSL text is no '@unroll i in 0..N' or '@if N', and ends none`,
        )
      out.push({ text: substitute(text, names), source })
      continue
    }
    const [directive, variable, first, last, condition] = open
    let [depth, end, otherwise] = [1, i + 1, -1]
    for (; end < lines.length; end++) {
      const close = CLOSE.exec(lines[end]!.text)?.[1]
      if (OPEN.test(lines[end]!.text)) depth++
      else if (close === 'end' && --depth === 0) break
      else if (close === 'else' && depth === 1 && condition && otherwise < 0) otherwise = end
    }
    if (depth) throw new ConfigError(`${directive.trim().slice(3)} in the WGSL text has no @end`)
    const body = lines.slice(i + 1, otherwise < 0 ? end : otherwise)
    if (variable) {
      const to = evaluate(last!, names)
      for (let value = evaluate(first!, names); value < to; value++)
        out.push(...expand(body, { ...names, [variable]: value }))
    } else if (evaluate(condition!, names)) out.push(...expand(body, names))
    else if (otherwise >= 0) out.push(...expand(lines.slice(otherwise + 1, end), names))
    i = end
  }
  return out
}

function substitute(line: string, names: Constants): string {
  if (!line.includes('$')) return line
  return line.replace(
    /\$\(([^()]*(?:\([^()]*\)[^()]*)*)\)|\$(\w+)/g,
    (_, expression?: string, name?: string) => String(evaluate(expression ?? name!, names)),
  )
}

/** Integer arithmetic: + - * / (truncating) % and parentheses over numbers and names. */
export function evaluate(expression: string, names: Constants): number {
  const tokens = expression.match(/\d+|\w+|\S/g) ?? []
  let at = 0
  const fail = (): never => {
    throw new ConfigError(`cannot evaluate '${expression}' in the WGSL text at '${tokens[at] ?? 'its end'}'`)
  }
  const atom = (): number => {
    const token = tokens[at++]
    if (token === undefined) return fail()
    if (token === '-') return -atom()
    if (token === '(') {
      const value = sum()
      if (tokens[at++] !== ')') fail()
      return value
    }
    if (/^\d/.test(token)) return Number(token)
    const value = names[token]
    if (value === undefined) {
      at--
      return fail()
    }
    return value
  }
  const product = (): number => {
    let value = atom()
    for (let op = tokens[at]; op === '*' || op === '/' || op === '%'; op = tokens[at]) {
      at++
      const right = atom()
      value = op === '*' ? value * right : op === '/' ? Math.trunc(value / right) : value % right
    }
    return value
  }
  const sum = (): number => {
    let value = product()
    for (let op = tokens[at]; op === '+' || op === '-'; op = tokens[at]) {
      at++
      value = op === '+' ? value + product() : value - product()
    }
    return value
  }
  const value = sum()
  if (at < tokens.length) fail()
  return value
}
