// GPT-2's way to write bytes as letters: printable Latin-1 as itself, the rest from U+0100 on.
const PRINTABLE = [
  [0x21, 0x7e],
  [0xa1, 0xac],
  [0xae, 0xff],
] as const

let others = 0
const LETTERS = Array.from({ length: 256 }, (_, byte) =>
  PRINTABLE.some(([first, last]) => byte >= first && byte <= last)
    ? String.fromCharCode(byte)
    : String.fromCharCode(0x100 + others++),
)
const encoder = new TextEncoder()

/** A text's UTF-8 bytes, a letter each. */
export function bytesAsText(text: string): string {
  let out = ''
  for (const byte of encoder.encode(text)) out += LETTERS[byte]
  return out
}
