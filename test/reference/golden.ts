import { existsSync } from 'node:fs'
import { test } from 'uvu'
import { readSafetensors } from '../support/read-safetensors.ts'

/**
 * Frozen PyTorch values `<folder>/<folder>.safetensors`, looked for in test/golden, then beside the repository, both
 * from the working directory, which is the repository's root. `test` is uvu's, or its skip when there are none.
 */
export function golden(folder: string) {
  const path = ['test/golden', '../shared/golden']
    .map(root => `${root}/${folder}/${folder}.safetensors`)
    .find(candidate => existsSync(candidate))
  if (!path) console.log(`skip: no frozen values ${folder}/${folder}.safetensors`)
  const tensors = path ? readSafetensors(path) : undefined
  return {
    test: path ? test : test.skip,
    /** The data of a tensor; an error when the file has none of that name. */
    read(name: string) {
      const tensor = tensors?.get(name)
      if (!tensor) throw new Error(`${path}: no tensor ${name}`)
      return tensor.data
    },
    shape(name: string) {
      return tensors?.get(name)?.shape ?? []
    },
  }
}
