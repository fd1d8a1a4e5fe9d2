// What old and odd writers leave: list layouts of every age, footers without a row count, missing annotations, other files' columns.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { levelWidth } from '../../src/data/levels.ts'
import { openParquet, readColumns } from '../../src/data/parquet.ts'
import { randomStream } from '../../src/data/shuffle.ts'
import { DataError } from '../../src/errors.ts'
import { encodeHybrid } from '../fuzz/encoders.ts'
import { putTogether } from '../fuzz/parquet-parts.ts'
import { type Field, TYPES, type Value } from '../fuzz/thrift-tree.ts'

const [REQUIRED, OPTIONAL, REPEATED] = [0, 1, 2]
const [INT32, INT96, BYTE_ARRAY] = [1, 3, 6]
const [UTF8, MAP, LIST] = [0, 1, 3]

const text = (value: string) => new TextEncoder().encode(value)
const i32 = (id: number, value: number): Field => ({ id, type: TYPES.I32, value: BigInt(value) })
const i64 = (id: number, value: number): Field => ({ id, type: TYPES.I64, value: BigInt(value) })
const struct = (id: number, value: Field[]): Field => ({ id, type: TYPES.STRUCT, value })
const list = (id: number, items: Value[], element = TYPES.STRUCT): Field => ({
  id,
  type: TYPES.LIST,
  value: { element, items },
})

interface Node {
  name: string
  repetition?: number
  children?: number
  type?: number
  converted?: number
  logical?: number
}

const element = ({ name, repetition, children, type, converted, logical }: Node): Field[] => [
  ...(type === undefined ? [] : [i32(1, type)]),
  ...(repetition === undefined ? [] : [i32(3, repetition)]),
  { id: 4, type: TYPES.BINARY, value: text(name) },
  ...(children === undefined ? [] : [i32(5, children)]),
  ...(converted === undefined ? [] : [i32(6, converted)]),
  ...(logical === undefined ? [] : [struct(10, [struct(logical, [])])]),
]

interface Made {
  /** The one column's schema, groups first. */
  schema: Node[]
  values: Uint8Array
  definition?: number[]
  repetition?: number[]
  rows?: number
  /** What the footer says of rows; `rows` where absent. */
  claimed?: number
  levelEncoding?: number
  codec?: number
  chunk?: Field[]
}

/** A file of one column and one page. */
function file({
  schema,
  values,
  definition,
  repetition,
  rows = 3,
  claimed = rows,
  levelEncoding = 3,
  codec = 0,
  chunk = [],
}: Made) {
  const random = randomStream(1)
  const max = (wanted: number[]) => schema.filter(({ repetition: r = REQUIRED }) => wanted.includes(r)).length
  const levels = (of: number[] | undefined, most: number) => {
    if (!of) return []
    const bytes = encodeHybrid(of, levelWidth(most), random)
    return [...new Uint8Array(Uint32Array.of(bytes.length).buffer), ...bytes]
  }
  const body = Uint8Array.from([
    ...levels(repetition, max([REPEATED])),
    ...levels(definition, max([OPTIONAL, REPEATED])),
    ...values,
  ])
  const count = definition?.length ?? rows
  const header = [
    i32(1, 0),
    i32(2, body.length),
    i32(3, 0),
    struct(5, [i32(1, count), i32(2, 0), i32(3, levelEncoding), i32(4, levelEncoding)]),
  ]
  const leaf = schema.at(-1)!
  const meta = [
    i32(1, leaf.type!),
    list(2, [0n], TYPES.I32),
    list(
      3,
      schema.map(({ name }) => text(name)),
      TYPES.BINARY,
    ),
    i32(4, codec),
    i64(5, count),
    i64(6, body.length + 30),
    i64(7, 0),
    i64(9, 0),
  ]
  const root = element({ name: 'schema', children: 1 })
  const group = [list(1, [[...chunk, i64(2, 4), struct(3, meta)]]), i64(2, body.length), i64(3, rows)]
  const footer = [i32(1, 1), list(2, [root, ...schema.map(element)]), i64(3, claimed), list(4, [group])]
  const parts = { footer, chunks: [{ group: 0, column: 0, meta, pages: [{ header, body }] }] }
  return putTogether(parts).buffer
}

const ints = (...values: number[]) => new Uint8Array(Int32Array.from(values).buffer)
const texts = (...values: string[]) =>
  Uint8Array.from(values.flatMap(value => [...ints(text(value).length), ...text(value)]))

const read = async (made: Made) => {
  const opened = await openParquet(file(made), { name: 'old.parquet' })
  return (await readColumns(opened, ['x'])).x
}

async function refusal(made: Made): Promise<string> {
  try {
    await read(made)
  } catch (error) {
    assert.instance(error, DataError)
    return (error as Error).message
  }
  throw new Error('expected a DataError')
}

const LISTS: Record<string, [Made, unknown[]]> = {
  'repeated, without a list around it': [
    {
      schema: [{ name: 'x', repetition: REPEATED, type: INT32 }],
      values: ints(1, 2, 3),
      definition: [1, 1, 0, 1],
      repetition: [0, 1, 0, 0],
    },
    [[1, 2], [], [3]],
  ],
  'two layers': [
    {
      schema: [
        { name: 'x', repetition: OPTIONAL, children: 1, converted: LIST },
        { name: 'array', repetition: REPEATED, type: INT32 },
      ],
      values: ints(1, 2),
      definition: [2, 2, 1, 0],
      repetition: [0, 1, 0, 0],
    },
    [[1, 2], [], null],
  ],
  'two layers, required': [
    {
      schema: [
        { name: 'x', repetition: REQUIRED, children: 1, converted: LIST },
        { name: 'x_tuple', repetition: REPEATED, type: BYTE_ARRAY, converted: UTF8 },
      ],
      values: texts('a', 'bc'),
      definition: [1, 1, 0, 0],
      repetition: [0, 1, 0, 0],
    },
    [['a', 'bc'], [], []],
  ],
  'three layers, as Hive names them': [
    {
      schema: [
        { name: 'x', repetition: OPTIONAL, children: 1, converted: LIST },
        { name: 'bag', repetition: REPEATED, children: 1 },
        { name: 'array_element', repetition: OPTIONAL, type: INT32 },
      ],
      values: ints(7),
      definition: [3, 2, 1, 0],
      repetition: [0, 1, 0, 0],
    },
    [[7, null], [], null],
  ],
  'three layers, a logical type alone, nothing nullable': [
    {
      schema: [
        { name: 'x', repetition: REQUIRED, children: 1, logical: 3 },
        { name: 'list', repetition: REPEATED, children: 1 },
        { name: 'item', type: INT32 },
      ],
      values: ints(1, 2, 3),
      definition: [1, 1, 0, 1],
      repetition: [0, 1, 0, 0],
    },
    [[1, 2], [], [3]],
  ],
}

for (const [name, [made, expected]] of Object.entries(LISTS)) {
  test(`a list in ${name}`, async () => {
    assert.equal(await read(made), expected)
    assert.equal(await read({ ...made, claimed: 0 }), expected, 'no row count in the footer')
  })
}

const NESTED: Record<string, [Node[], string]> = {
  'a repeated group named array is the element': [
    [
      { name: 'x', repetition: OPTIONAL, children: 1, converted: LIST },
      { name: 'array', repetition: REPEATED, children: 1 },
      { name: 'item', repetition: OPTIONAL, type: INT32 },
    ],
    'a list of structs',
  ],
  'a group that nothing calls a list': [
    [
      { name: 'x', repetition: OPTIONAL, children: 1 },
      { name: 'list', repetition: REPEATED, children: 1 },
      { name: 'element', repetition: OPTIONAL, type: INT32 },
    ],
    'a struct of one field, list',
  ],
  'a map without values': [
    [
      { name: 'x', repetition: OPTIONAL, children: 1, converted: MAP },
      { name: 'map', repetition: REPEATED, children: 1 },
      { name: 'key', repetition: REQUIRED, type: INT32 },
    ],
    'a map',
  ],
}

for (const [name, [schema, words]] of Object.entries(NESTED)) {
  test(`refused: ${name}`, async () => {
    const made = { schema, values: ints(1), definition: [3, 0, 0], repetition: [0, 0, 0] }
    assert.is(
      await refusal(made),
      `old.parquet: column x is nested (${words}), a value or a list per row is expected`,
    )
  })
}

const flat = (node: Partial<Node> = {}): Node[] => [{ name: 'x', repetition: REQUIRED, type: INT32, ...node }]

test('values without a word on repetition are required', async () => {
  const [{ repetition: _, ...node }] = flat() as [Node]
  assert.equal(await read({ schema: [node], values: ints(4, 5, 6) }), [4, 5, 6])
})

test('texts that nothing calls so', async () => {
  const schema = flat({ type: BYTE_ARRAY })
  assert.equal(await read({ schema, values: texts('a', '', '\ufeffz') }), ['a', '', '\ufeffz'])
  const bytes = Uint8Array.from([...ints(1), 255, ...texts('', '')])
  assert.match(
    await refusal({ schema, values: bytes }),
    'column x cannot be decoded: a value is no UTF-8 text: ff',
  )
})

test('timestamps of twelve bytes', async () => {
  const values = new Uint8Array(36)
  const view = new DataView(values.buffer)
  for (const [i, [day, nanos]] of [
    [2_440_588, 0n],
    [2_440_589, 1_999_999n],
    [2_440_587, 86_399_999_999_999n],
  ].entries() as Iterable<[number, [number, bigint]]>) {
    view.setBigInt64(12 * i, nanos, true)
    view.setInt32(12 * i + 8, day, true)
  }
  const dates = (await read({ schema: flat({ type: INT96 }), values })) as Date[]
  assert.equal(dates.map(Number), [0, 86_400_001, -1])
})

test('what cannot be read is said', async () => {
  const made = { schema: flat(), values: ints(4, 5, 6) }
  const path: Field = { id: 1, type: TYPES.BINARY, value: text('part-0.parquet') }
  assert.match(await refusal({ ...made, claimed: 4 }), 'its row groups hold 3 rows, the footer says 4')
  assert.match(await refusal({ ...made, chunk: [path] }), 'its data is in another file, part-0.parquet')
  assert.match(await refusal({ ...made, chunk: [struct(8, [])] }), 'it is encrypted')
  assert.match(await refusal({ ...made, codec: 3 }), 'codec LZO cannot be read')
  assert.match(
    await refusal({ ...made, schema: flat({ converted: UTF8 }) }),
    'column x is INT32, which cannot hold UTF8',
  )
  const nullable = { schema: flat({ repetition: OPTIONAL }), values: ints(4), definition: [1, 0, 0] }
  assert.equal(await read(nullable), [4, null, null])
  assert.match(
    await refusal({ ...nullable, levelEncoding: 4 }),
    'levels in encoding BIT_PACKED cannot be read',
  )
  const encrypted = new Uint8Array(file(made))
  for (const at of [0, encrypted.length - 4]) encrypted.set(text('PARE'), at)
  try {
    await openParquet(encrypted.buffer, { name: 'old.parquet' })
    assert.unreachable()
  } catch (error) {
    assert.is((error as Error).message, 'old.parquet is an encrypted Parquet file, which cannot be read')
  }
})

test('damaged levels and pages end in the same error in every reader', async () => {
  const made = LISTS['repeated, without a list around it']![0]
  assert.match(await refusal({ ...made, repetition: [1, 1, 0, 0] }), 'it starts in the middle of a list')
  assert.match(await refusal({ ...made, rows: 4 }), 'row group 0, column x has 3 of 4 rows')
  assert.match(await refusal({ ...made, values: ints(1, 2) }), '8 bytes are too few for 3 values')
  const three = LISTS['three layers, as Hive names them']![0]
  const other = {
    ...three,
    schema: three.schema.slice(0, 2).map(node => ({
      ...node,
      type: node.name === 'bag' ? INT32 : undefined,
      children: node.name === 'bag' ? undefined : 1,
    })),
  }
  assert.match(await refusal({ ...other, definition: [3, 2, 1, 0] }), 'a level of 3, at most 2 is expected')
})

test.run()
