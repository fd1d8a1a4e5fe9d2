// The form for one row: a field per feature, filled by hand or from an example.
import { byId, make } from './dom.ts'
import type { Example, Field, TypedRow } from './protocol.ts'

let fields: Field[] = []

export function showFields(next: Field[], examples: Example[]): void {
  // A run that goes on has the same fields, and what was typed stays.
  if (JSON.stringify(next) === JSON.stringify(fields)) return
  fields = next
  byId('fields').replaceChildren(...fields.map(fieldRow))
  byId('examples').replaceChildren(
    ...examples.map(({ title, row }) => {
      const button = make('button', { type: 'button', textContent: title })
      button.addEventListener('click', () => fill(row))
      return button
    }),
  )
  if (examples[0]) fill(examples[0].row)
}

const inputOf = (i: number) => byId<HTMLInputElement>(`field-${i}`)

function fieldRow({ name, use, limit }: Field, i: number): HTMLElement {
  const hint =
    use === 'token_id'
      ? `token ids from 0 to ${limit! - 1}, with spaces between`
      : use === 'categorical'
        ? `0 to ${limit! - 1}`
        : 'a number'
  const input = make('input', { id: `field-${i}`, name, required: use !== 'token_id', autocomplete: 'off' })
  if (use === 'token_id') Object.assign(input, { type: 'text', inputMode: 'numeric' })
  else Object.assign(input, { type: 'number', step: use === 'numerical' ? 'any' : '1' })
  if (use === 'categorical') Object.assign(input, { min: '0', max: String(limit! - 1) })
  input.setAttribute('aria-describedby', `hint-${i}`)
  input.addEventListener('input', () => input.setCustomValidity(''))
  const label = make('label', { htmlFor: input.id, textContent: name })
  const note = make('span', { id: `hint-${i}`, className: 'soft', textContent: hint })
  return make('div', { className: `row ${use === 'token_id' ? 'wide' : ''}` }, [label, input, note])
}

function fill(row: TypedRow): void {
  for (const [i, { name, use }] of fields.entries()) {
    const input = inputOf(i)
    const values = row[name] ?? []
    input.value = use === 'token_id' ? values.join(' ') : String(Number((values[0] ?? 0).toPrecision(7)))
    input.setCustomValidity('')
  }
}

/** The row as typed; undefined where a field is wrong, which then says so. */
export function readRow(): TypedRow | undefined {
  const row: TypedRow = {}
  for (const [i, { name, use, limit }] of fields.entries()) {
    const input = inputOf(i)
    const words = use === 'token_id' ? input.value.split(/[\s,]+/).filter(Boolean) : [input.value]
    const values = words.map(Number)
    const wrong = words.find(
      (_, at) => !(Number.isInteger(values[at]) && values[at]! >= 0 && values[at]! < limit!),
    )
    if (use === 'token_id' && wrong !== undefined)
      input.setCustomValidity(`${wrong} is no token id from 0 to ${limit! - 1}`)
    row[name] = values
  }
  return byId<HTMLFormElement>('score-form').reportValidity() ? row : undefined
}
