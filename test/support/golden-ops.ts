// Frozen PyTorch values of single operators, which lie in the repository or beside it.
import { existsSync } from 'node:fs'
import { test } from 'uvu'
import { readSafetensors } from './read-safetensors.ts'

const path = ['test/golden', '../shared/golden']
  .map(root => `${root}/ops/ops.safetensors`)
  .find(candidate => existsSync(candidate))
if (!path) console.log('skip: no frozen values ops/ops.safetensors')
const tensors = path ? readSafetensors(path) : undefined

/** uvu's test, or its skip where the values are absent. */
export const goldenTest = path ? test : test.skip

function stored(name: string) {
  const tensor = tensors?.get(name)
  if (!tensor) throw new Error(`${path}: no tensor ${name}`)
  return tensor
}
export const goldenShape = (name: string): number[] => stored(name).shape
export const goldenFloats = (name: string): Float32Array<ArrayBuffer> => Float32Array.from(stored(name).data)
export const goldenUints = (name: string): Uint32Array<ArrayBuffer> => Uint32Array.from(stored(name).data)
