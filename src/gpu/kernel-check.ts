// What can be wrong with a kernel before any compiler sees it: its declaration by itself, and its declaration beside its text.
import { ConfigError, DeviceError } from '../errors.ts'
import { told } from './buffers.ts'
import type { Kernel } from './kernel.ts'
import { type Declared, declared } from './wgsl-declared.ts'
import type { WgslLine } from './wgsl-text.ts'

const SCALARS = ['u32', 'i32', 'f32']
const KEYS = ['name', 'wgsl', 'prelude', 'entry', 'params', 'bindings', 'workgroup', 'constants']
/** Parameters that the slot of a launch has room for. */
const MAX_PARAMS = 64

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Checks a kernel as it is declared.
 * @throws ConfigError that names the kernel, the key and what was expected
 */
export function checkKernel(kernel: unknown): asserts kernel is Kernel {
  if (!isObject(kernel))
    throw new ConfigError(`a kernel is an object, as defineKernel makes it, got ${told(kernel)}`)
  const named = typeof kernel.name === 'string' && kernel.name !== '' ? `kernel ${kernel.name}` : 'a kernel'
  const fail = (what: string): never => {
    throw new ConfigError(`${named}: ${what}`)
  }
  const unknown = Object.keys(kernel).find(key => !KEYS.includes(key))
  if (unknown !== undefined) fail(`unknown key '${unknown}'; expected ${KEYS.join(', ')}`)
  for (const key of ['name', 'wgsl', 'entry']) {
    if (typeof kernel[key] !== 'string' || kernel[key] === '')
      fail(`'${key}' is ${told(kernel[key])}, expected a text`)
  }
  if (kernel.prelude !== undefined && typeof kernel.prelude !== 'string')
    fail(`'prelude' is ${told(kernel.prelude)}, expected a text`)
  const { params, bindings, workgroup, constants } = kernel
  if (!isObject(params)) {
    fail(`'params' is ${told(params)}, expected the members of Params and their types, such as { n: 'u32' }`)
  } else {
    for (const [name, type] of Object.entries(params))
      if (!SCALARS.includes(type as string))
        fail(`params.${name} is ${told(type)}, expected 'u32', 'i32' or 'f32'`)
    const count = Object.keys(params).length
    if (count > MAX_PARAMS) fail(`${count} params, expected at most ${MAX_PARAMS}; bind a buffer for more`)
  }
  if (!Array.isArray(bindings)) {
    fail(`'bindings' is ${told(bindings)}, expected how each buffer is used, such as ['read', 'write']`)
  } else {
    for (const [i, access] of bindings.entries())
      if (access !== 'read' && access !== 'write')
        fail(
          `bindings[${i}] is ${told(access)}, expected 'read' or 'write'${access === 'read_write' ? " (which is WGSL's read_write)" : ''}`,
        )
  }
  if (!Number.isInteger(workgroup) || (workgroup as number) < 1)
    fail(`'workgroup' is ${told(workgroup)}, expected a whole number of invocations, at least 1`)
  if (!isObject(constants)) {
    fail(`'constants' is ${told(constants)}, expected values for const lines of the text`)
  } else {
    for (const [name, value] of Object.entries(constants))
      if (typeof value !== 'number' || !Number.isFinite(value))
        fail(`constants.${name} is ${told(value)}, expected a finite number`)
  }
}

/**
 * Checks a kernel's declaration against what its text declares, before the compiler has its say.
 * @throws DeviceError that names the kernel, and the line of its text
 */
export function checkText(kernel: Kernel, lines: readonly WgslLine[]): void {
  const text = declared(lines)
  if (!text) return
  const fail = (what: string): never => {
    throw new DeviceError(`kernel ${kernel.name}, entry ${kernel.entry}: ${what}`)
  }
  const { entries } = text
  if (!entries.includes(kernel.entry)) {
    fail(
      `the WGSL has no such entry point; ${entries.length ? `it has ${entries.join(', ')}` : 'it has none: write @compute @workgroup_size(WG) before a function'}`,
    )
  }
  const place = placeIn(kernel, lines)
  const reached = text.reachedFrom(kernel.entry)
  for (const { group, name, line } of reached)
    if (group !== 0) fail(`${place(line)}: ${name} is in group ${group}, expected group 0`)
  checkBindings(kernel, text, reached, place, fail)
  checkParams(kernel, text, reached, place, fail)
}

type Place = (index: number) => string
type Fail = (what: string) => never

/** `line 4 (text)`, in the kernel's own numbering. */
export function placeIn(kernel: Kernel, lines: readonly WgslLine[]): Place {
  const before = kernel.prelude === undefined ? 0 : kernel.prelude.split('\n').length
  return index => {
    const line = lines[index]
    if (!line || line.source === 0) return ''
    const at = line.source > before ? `line ${line.source - before}` : `line ${line.source} of its prelude`
    return `${at} (${line.text.trim()})`
  }
}

function checkBindings(
  { bindings }: Kernel,
  text: Declared,
  reached: Declared['bindings'],
  place: Place,
  fail: Fail,
): void {
  for (const { binding, space, access, line } of reached) {
    const expected = binding === 0 ? 'uniform' : bindings[binding - 1]
    const found = space === 'uniform' ? 'uniform' : access === 'read_write' ? 'write' : 'read'
    if (expected === found) continue
    // Of two variables at one binding that the function may reach, one fits; which it is the compiler knows.
    const other = reached.filter(one => one.binding === binding)
    if (other.length > 1) continue
    const what = expected === 'uniform' ? 'the uniform params' : (expected ?? 'none')
    fail(
      `binding ${binding}, ${place(line)}, is ${what} in the kernel's bindings: the text says ${
        found === 'uniform' ? 'var<uniform>' : `var<storage, ${access}>`
      }; binding 0 is the params, bindings 1 and up are ${bindings.length ? bindings.join(', ') : 'none'}`,
    )
  }
  // An entry point may leave out a binding that others of the text use; past the last one there is nothing to bind.
  const last = Math.max(0, ...text.bindings.map(({ binding }) => binding))
  if (bindings.length > last) {
    const all = text.bindings.map(({ binding, name }) => `${binding} (${name})`).join(', ')
    fail(
      `bindings[${last}] is '${bindings[last]}', and the text declares no @group(0) @binding(${last + 1}); it declares ${all || 'none'}`,
    )
  }
}

function checkParams(
  { params }: Kernel,
  { structs, aliases }: Declared,
  reached: Declared['bindings'],
  place: Place,
  fail: Fail,
): void {
  const plain = (type: string): string => {
    let of = type
    for (let i = 0; i < aliases.size; i++) of = aliases.get(of) ?? of
    return of
  }
  const declaredAs = reached
    .filter(({ binding, space }) => binding === 0 && space === 'uniform')
    .flatMap(found => {
      const members = structs.get(plain(found.type))
      return members ? [{ ...found, members }] : []
    })
  const expected = Object.entries(params).map(([name, type]) => `${name}: ${type}`)
  const fits = ({ members }: (typeof declaredAs)[number]) =>
    members.map(({ name, type }) => `${name}: ${plain(type)}`).join() === expected.join()
  const [first] = declaredAs
  if (!first || declaredAs.some(fits)) return
  const { members, type, line } = first
  const odd = members.find(member => !SCALARS.includes(plain(member.type)))
  if (odd)
    fail(
      `struct ${type}: ${odd.name} is ${odd.type}; parameters are u32, i32 or f32, 4 bytes each, side by side`,
    )
  fail(
    `params are { ${expected.join(', ')} }, and ${place(line)} has struct ${type} { ${members
      .map(({ name, type }) => `${name}: ${type}`)
      .join(', ')} }: names, types and order must be the same`,
  )
}
