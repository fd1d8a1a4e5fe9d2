import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseSafetensors, serializeSafetensors } from '../../src/data/safetensors.ts'
import { openSafetensors, type TensorStream, writeSafetensors } from '../../src/data/safetensors-file.ts'
import { CheckpointError } from '../../src/errors.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-safetensors-'))
test.after(() => rmSync(folder, { recursive: true }))

/** A file of the given header text and data size, with the length before it. */
function raw(header: string, dataSize: number): Uint8Array {
  const json = new TextEncoder().encode(header)
  const bytes = new Uint8Array(8 + json.length + dataSize)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true)
  bytes.set(json, 8)
  return bytes
}
const entry = (dtype: string, shape: unknown, data_offsets: unknown) => ({ dtype, shape, data_offsets })
const rawOf = (header: object, dataSize: number) => raw(JSON.stringify(header), dataSize)

function refused(act: () => unknown, message: RegExp) {
  assert.throws(act, (error: unknown) => {
    assert.instance(error, CheckpointError)
    assert.match((error as Error).message, message)
    return true
  })
}
async function rejection(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => assert.unreachable('expected a rejection') as never,
    error => error,
  )
}
const bytesOf = (data: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number }) =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
const f32 = (name: string, values: number[], shape = [values.length]): TensorStream => ({
  name,
  dtype: 'F32',
  shape,
  chunks: [bytesOf(Float32Array.from(values))],
})

test('every dtype survives a round trip, whatever the order', () => {
  const tensors = [
    { name: 'u8', shape: [3], data: Uint8Array.of(1, 2, 255) },
    { name: 'f32', shape: [2, 2], data: Float32Array.of(1.5, -0, Infinity, 1e-40) },
    { name: 'i64', shape: [2], data: BigInt64Array.of(-1n, 2n ** 62n) },
    { name: 'flag', dtype: 'BOOL' as const, shape: [2], data: Uint8Array.of(0, 1) },
    { name: 'i32', shape: [1], data: Int32Array.of(-7) },
    { name: 'f64', shape: [], data: Float64Array.of(Math.PI) },
    { name: 'empty', shape: [0, 5], data: new Float32Array(0) },
    { name: 'i16', shape: [1], data: Int16Array.of(-300) },
  ]
  const file = serializeSafetensors(tensors, { format: 'pt' })
  const read = parseSafetensors(file)
  assert.equal(read.metadata, { format: 'pt' })
  assert.is(read.tensors.size, tensors.length)
  for (const { name, shape, data } of tensors) {
    assert.equal(read.tensors.get(name)!.shape, shape, name)
    assert.is(read.tensors.get(name)!.data.constructor, data.constructor)
    assert.equal(bytesOf(read.tensors.get(name)!.data), bytesOf(data), name)
  }
  assert.is(read.tensors.get('flag')!.dtype, 'BOOL')
  assert.is(read.tensors.get('f32')!.data.buffer, file.buffer, 'aligned values are views, not copies')
})

test('16-bit floats arrive as float32', () => {
  const half = Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x8000, 0x7e00)
  const brain = Uint16Array.of(0x3f80, 0xc000, 0x7f80, 0x3dcd)
  const { tensors } = parseSafetensors(
    serializeSafetensors([
      { name: 'half', dtype: 'F16', shape: [7], data: half },
      { name: 'brain', dtype: 'BF16', shape: [4], data: brain },
    ]),
  )
  const want = Float32Array.of(1, -2, 65504, 2 ** -24, Infinity, -0, Number.NaN)
  assert.instance(tensors.get('half')!.data, Float32Array)
  // Compared as bytes: NaN equals nothing, and -0 equals 0.
  assert.equal(bytesOf(tensors.get('half')!.data), bytesOf(want))
  assert.equal(tensors.get('brain')!.data, Float32Array.of(1, -2, Infinity, 0.10009765625))
})

test('the header is padded to 8 bytes, so that data is aligned', () => {
  for (const name of ['a', 'ab', 'abc', 'é', '0']) {
    const file = serializeSafetensors([{ name, shape: [1], data: Float32Array.of(3) }])
    const length = Number(new DataView(file.buffer).getBigUint64(0, true))
    assert.is(length % 8, 0)
    assert.is(file[8], 0x7b)
    assert.is(parseSafetensors(file).tensors.get(name)!.data[0], 3)
  }
})

test('unaligned data from other writers is read', () => {
  const file = rawOf({ a: entry('F32', [1], [0, 4]) }, 4)
  for (let shift = 0; shift < 4; shift++) {
    const moved = new Uint8Array(file.length + shift)
    moved.set(file, shift)
    bytesOf(moved).set(bytesOf(Float32Array.of(2.5)), moved.length - 4)
    assert.is(parseSafetensors(moved.subarray(shift)).tensors.get('a')!.data[0], 2.5)
  }
})

const f4 = entry('F32', [1], [0, 4])
const broken: [string, Uint8Array, RegExp][] = [
  ['an empty file', new Uint8Array(0), /x\.st: 0 bytes are too few/],
  ['a length beyond the file', raw('{}', 0).with(0, 3), /header claims 3 bytes, but the file has 2/],
  ['a length of 2^63', raw('{}', 0).with(7, 0x80), /header claims/],
  ['no JSON', raw('{"a"', 0), /the header is not valid JSON/],
  ['bad UTF-8', raw('"?"', 0).with(9, 0xff), /the header is not valid JSON/],
  ['a list', raw('[]', 0), /not a JSON object/],
  [
    'unknown dtype',
    rawOf({ a: entry('F8_E4M3', [1], [0, 1]) }, 1),
    /x\.st: tensor 'a' has dtype "F8_E4M3", expected one of F64, F32/,
  ],
  ['dtype like a member', rawOf({ a: entry('toString', [1], [0, 1]) }, 1), /has dtype "toString"/],
  ['negative size', rawOf({ a: entry('F32', [-1], [0, 4]) }, 4), /tensor 'a' has shape \[-1\]/],
  ['no shape', rawOf({ a: { dtype: 'F32', data_offsets: [0, 4] } }, 4), /tensor 'a' has no shape, expected/],
  ['no entry', rawOf({ a: null }, 0), /tensor 'a' has no header entry/],
  ['no offsets', rawOf({ a: { dtype: 'F32', shape: [1] } }, 4), /tensor 'a' has no data_offsets, expected/],
  ['offsets backwards', rawOf({ a: entry('F32', [1], [4, 0]) }, 4), /tensor 'a' has data_offsets \[4,0\]/],
  [
    'offsets that do not fit the shape',
    rawOf({ a: entry('F32', [2], [0, 4]) }, 4),
    /tensor 'a' spans 4 bytes, but F32 of shape \[2\] takes 8/,
  ],
  ['data cut short', rawOf({ a: f4 }, 3), /tensor 'a' ends at byte 4, but the data has 3 bytes/],
  ['overlap', rawOf({ a: f4, b: entry('F32', [1], [2, 6]) }, 6), /tensor 'b' overlaps tensor 'a'/],
  [
    'a gap',
    rawOf({ a: f4, b: entry('F32', [1], [8, 12]) }, 12),
    /bytes 4 to 8 before tensor 'b' belong to none/,
  ],
  ['bytes left over', rawOf({ a: f4 }, 5), /1 bytes after the last tensor/],
  [
    'a tensor twice',
    raw(`{"a":${JSON.stringify(f4)},"\\u0061":${JSON.stringify(f4)}}`, 4),
    /names 'a' twice/,
  ],
  [
    "an entry's key twice",
    raw('{"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}}', 4),
    /names 'dtype' twice/,
  ],
  [
    'metadata of numbers',
    rawOf({ __metadata__: { step: 3 }, a: f4 }, 4),
    /__metadata__ is not an object of strings/,
  ],
]
for (const [name, bytes, message] of broken) {
  test(`refused in memory and on disk: ${name}`, async () => {
    refused(() => parseSafetensors(bytes, 'x.st'), message)
    const path = join(folder, 'x.st')
    writeFileSync(path, bytes)
    const fault = await rejection(openSafetensors(path))
    assert.instance(fault, CheckpointError)
    assert.match(fault.message, message)
  })
}

test('equal keys in different objects are no duplicates', () => {
  const { tensors } = parseSafetensors(rawOf({ a: f4, dtype: entry('F32', [1], [4, 8]) }, 8))
  assert.equal([...tensors.keys()], ['a', 'dtype'])
})

test('tensors that do not fit their shape are not written', () => {
  const data = Float32Array.of(1, 2)
  refused(
    () => serializeSafetensors([{ name: 'a', shape: [3], data }]),
    /tensor 'a': Float32Array of length 2 is not F32 of shape \[3\]/,
  )
  refused(() => serializeSafetensors([{ name: 'a', dtype: 'F16', shape: [2], data }]), /is not F16/)
  const twice = { name: 'a', shape: [2], data }
  refused(() => serializeSafetensors([twice, twice]), /tensor name 'a' is taken/)
})

test('a file is streamed out and read back, whole, by rows and by bytes', async () => {
  const path = join(folder, 'stream.safetensors')
  const table = Float32Array.from({ length: 60 }, (_, i) => i)
  async function* chunks() {
    for (let row = 0; row < 20; row += 7) yield bytesOf(table.subarray(row * 3, Math.min(60, (row + 7) * 3)))
  }
  await writeSafetensors(
    path,
    [{ name: 'table', dtype: 'F32', shape: [20, 3], chunks: chunks() }, f32('bias', [9])],
    {
      step: '3',
    },
  )
  const file = await openSafetensors(path)
  assert.equal(file.metadata, { step: '3' })
  assert.equal([...file.tensors.keys()], ['table', 'bias'])
  assert.equal(await file.read('table'), table)
  assert.equal(await file.readRows('table', 18, 20), table.slice(54))
  assert.equal(await file.readRows('table', 4, 4), new Float32Array(0))
  assert.equal(await file.readBytes('bias', 0, 4), bytesOf(Float32Array.of(9)))
  assert.match(
    (await rejection(file.readRows('table', 18, 21))).message,
    /rows of tensor 'table': 18 to 21 is outside 0 to 20/,
  )
  assert.match((await rejection(file.readBytes('bias', 0, 5))).message, /bytes of tensor 'bias'/)
  assert.match((await rejection(file.read('none'))).message, /stream\.safetensors has no tensor 'none'/)
  await file.close()
  const whole = parseSafetensors(readFileSync(path))
  assert.equal(whole.tensors.get('table')!.data, table)
})

test('a file that shrinks while open is an error, not zeros', async () => {
  const path = join(folder, 'shrinks.safetensors')
  await writeSafetensors(path, [f32('a', [1, 2, 3, 4])])
  const file = await openSafetensors(path)
  writeFileSync(path, readFileSync(path).subarray(0, -8))
  const fault = await rejection(file.read('a'))
  assert.instance(fault, CheckpointError)
  assert.match(fault.message, /tensor 'a': the file ends at byte/)
  await file.close()
})

test('failed writes leave the old file and nothing else', async () => {
  const own = mkdtempSync(join(folder, 'faults-'))
  const path = join(own, 'model.safetensors')
  await writeSafetensors(path, [f32('a', [1])])
  const old = readFileSync(path)
  async function* breaks() {
    yield new Uint8Array(4)
    throw new Error('device lost')
  }
  const faults: [TensorStream[], RegExp][] = [
    [[f32('a', [1], [2])], /model\.safetensors: tensor 'a', F32 of shape \[2\], takes 8 bytes, got 4/],
    [[f32('b', [1, 2, 3], [2])], /tensor 'b'.*takes 8 bytes, got more/],
    [[f32('a', [1]), f32('a', [1])], /tensor name 'a' is taken/],
    [[{ name: 'a', dtype: 'F32', shape: [2], chunks: breaks() }], /^device lost$/],
  ]
  for (const [entries, message] of faults) {
    assert.match((await rejection(writeSafetensors(path, entries))).message, message)
    assert.equal(readFileSync(path), old)
    assert.equal(readdirSync(own), ['model.safetensors'])
  }
})

test('paths that cannot be read or written are named', async () => {
  const file = join(folder, 'plain')
  writeFileSync(file, 'x')
  for (const act of [
    () => openSafetensors(join(file, 'm.st')),
    () => writeSafetensors(join(file, 'm.st'), [f32('a', [1])]),
  ]) {
    const fault = await rejection(act())
    assert.instance(fault, CheckpointError)
    assert.match(fault.message, /plain\/m\.st: part of the path is a file/)
  }
  assert.match((await rejection(openSafetensors(join(folder, 'none.st')))).message, /none\.st: no such file/)
  assert.match((await rejection(openSafetensors(folder))).message, /it is a folder/)
})

test.run()
