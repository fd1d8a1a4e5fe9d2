// A folder as one file to download: the ustar format, which every system unpacks (POSIX.1-1988).
const BLOCK = 512

/** An archive of files below a folder. */
export async function tarOf(folder: string, files: { name: string; content: Blob }[]): Promise<Blob> {
  const parts: BlobPart[] = []
  for (const { name, content } of files) {
    parts.push(header(`${folder}/${name}`, content.size), content)
    parts.push(new Uint8Array((BLOCK - (content.size % BLOCK)) % BLOCK))
  }
  return new Blob([...parts, new Uint8Array(2 * BLOCK)], { type: 'application/x-tar' })
}

function header(name: string, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(BLOCK)
  const put = (at: number, text: string) => bytes.set(new TextEncoder().encode(text), at)
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0')
  if (name.length > 100) throw new RangeError(`${name} is longer than an archive's names`)
  put(0, name)
  put(100, '0000644\0')
  put(108, '0000000\0')
  put(116, '0000000\0')
  put(124, `${octal(size, 11)}\0`)
  put(136, `${octal(Math.floor(Date.now() / 1000), 11)}\0`)
  put(148, '        ')
  put(156, '0')
  put(257, 'ustar\x0000')
  let sum = 0
  for (const byte of bytes) sum += byte
  put(148, `${octal(sum, 6)}\0 `)
  return bytes
}
