// Names of prepared columns: what a model's parameters can be called, none twice.
import { LABEL, WEIGHT } from './document.ts'

/** Hands out names; the first to ask has it as it stands. */
export class Names {
  // Objects have the last ones before anything is put there.
  readonly #taken = new Set([LABEL, WEIGHT, 'row', ...Object.getOwnPropertyNames(Object.prototype)])

  of(wanted: string): string {
    const plain = wanted.replace(/[^\p{L}\p{N}_]+/gu, '_')
    const start = /^[\p{L}_]/u.test(plain) ? plain : `column_${plain}`
    let name = start
    for (let n = 2; this.#taken.has(name); n++) name = `${start}_${n}`
    this.#taken.add(name)
    return name
  }
}
