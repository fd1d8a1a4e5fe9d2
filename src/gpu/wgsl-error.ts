import type { Kernel } from './kernel.ts'
import { placeIn } from './kernel-check.ts'
import type { WgslLine } from './wgsl-text.ts'

/**
 * What a compiler or WebGPU's validation has against a kernel, in terms of the kernel's own text: its name, and the lines
 * as they are numbered in `wgsl`, whatever was prepended, set and unrolled.
 *
 * @param lines the module's text, as `wgslLines` made it
 * @param messages what compiling the module reported
 * @param refusal why there is no pipeline; it counts where the module itself compiled
 */
export function compileError(
  kernel: Kernel,
  lines: WgslLine[],
  messages: readonly GPUCompilationMessage[],
  refusal: string,
): string {
  const place = placeIn(kernel, lines)
  const named = `kernel ${kernel.name}, entry ${kernel.entry}`
  const errors = messages.filter(({ type }) => type === 'error')
  if (errors.length) {
    const found = errors.map(({ lineNum, message }) => {
      const at = place(lineNum - 1)
      return at ? `${at}: ${message}` : message
    })
    return `${named}: ${found.join('; ')}`
  }
  const reason = refusal.split('\n')[0]!
  const binding = /@binding\((\d+)\)/.exec(refusal)?.[1]
  if (binding === undefined) return `${named}: ${reason}`
  const access = binding === '0' ? 'the uniform params' : kernel.bindings[Number(binding) - 1]
  const declared = lines.flatMap(({ text }, i) =>
    new RegExp(`@binding\\(${binding}\\)`).test(text) ? [place(i)] : [],
  )
  return `${named}: binding ${binding}, ${declared.join(' or ')}, is ${access ?? 'none'} in the kernel's bindings: ${reason}`
}
