/** Numbers and fields of a thrift tree made into others. */
import type { RandomStream } from '../../src/data/shuffle.ts'
import { type Field, isList, isStruct, TYPES, type Value } from './thrift-tree.ts'

export const pick = <T>(list: readonly T[], random: RandomStream): T => list[random.below(list.length)]!

/** Another number: a neighbour, an extreme, or anything. */
export function otherNumber(value: bigint, random: RandomStream): bigint {
  const others = [
    value + 1n,
    value - 1n,
    -value,
    value * 2n,
    value / 2n,
    0n,
    -1n,
    1n,
    2n ** 31n - 1n,
    -(2n ** 31n),
    2n ** 40n,
    2n ** 53n,
    2n ** 62n,
    -(2n ** 63n),
    BigInt(random.below(300)),
    BigInt(random.bits()),
  ].filter(other => other !== value)
  return pick(others, random)
}

/** A tree's field made into another type, dropped, doubled or renamed. */
export function disorder(fields: Field[], random: RandomStream): void {
  if (!fields.length) return
  const at = random.below(fields.length)
  const found = fields[at]!
  const values: [number, Value][] = [
    [TYPES.TRUE, true],
    [TYPES.FALSE, false],
    [TYPES.I64, BigInt(random.below(100))],
    [TYPES.BINARY, Uint8Array.of(1, 2, 3)],
    [TYPES.DOUBLE, 1],
    [TYPES.LIST, { element: TYPES.I32, items: [1n, 2n] }],
    [TYPES.STRUCT, []],
  ]
  switch (random.below(5)) {
    case 0:
      fields.splice(at, 1)
      break
    case 1:
      fields.splice(at, 0, { ...found })
      break
    case 2:
      found.id += 1 + random.below(20)
      break
    case 3: {
      const [type, value] = pick(values, random)
      Object.assign(found, { type, value })
      break
    }
    default:
      if (isList(found.value)) found.value.items.splice(random.below(found.value.items.length + 1), 1)
      else if (isStruct(found.value)) found.value.splice(0)
      else if (found.value instanceof Uint8Array)
        found.value = found.value.map(byte => byte ^ random.below(256))
      else fields.splice(at, 1)
  }
}
