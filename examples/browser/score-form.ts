// The form for one row: a field per feature, filled by hand or from an example.
import { breakable, byId, make } from './dom.ts'
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

function hintOf({ use, limit, hint }: Field): string {
  if (use === 'raw') return `${hint}; empty where it is missing`
  if (use === 'token_id') return `token ids from 0 to ${limit! - 1}, with spaces between`
  return use === 'categorical' ? `0 to ${limit! - 1}` : 'a number'
}

function fieldRow(field: Field, i: number): HTMLElement {
  const { name, use, limit, known } = field
  const id = `field-${i}`
  const input = make('input', { id, name, type: 'text', autocomplete: 'off' })
  if (use === 'token_id') input.inputMode = 'numeric'
  if (use === 'categorical' || use === 'numerical')
    Object.assign(input, { type: 'number', required: true, step: use === 'numerical' ? 'any' : '1' })
  if (use === 'categorical') Object.assign(input, { min: '0', max: String(limit! - 1) })
  input.setAttribute('aria-describedby', `hint-${i}`)
  input.addEventListener('input', () => clearFault(i))
  const label = make('label', { htmlFor: id }, breakable(name))
  const note = make('span', { id: `hint-${i}`, className: 'soft', textContent: hintOf(field) })
  const parts: HTMLElement[] = [label, input, note]
  if (known?.length) {
    input.setAttribute('list', `known-${i}`)
    const options = known.map(value => make('option', { value }))
    parts.push(make('datalist', { id: `known-${i}` }, options))
  }
  return make('div', { className: `row ${use === 'token_id' || field.long ? 'wide' : ''}` }, parts)
}

function fill(row: TypedRow): void {
  for (const [i, { name, use }] of fields.entries()) {
    const input = inputOf(i)
    const value = row[name] ?? (use === 'raw' ? '' : [])
    if (typeof value === 'string') input.value = value
    else input.value = use === 'token_id' ? value.join(' ') : String(Number((value[0] ?? 0).toPrecision(7)))
    clearFault(i)
  }
}

/** The row as typed; undefined where a field is wrong, which then says so. */
export function readRow(): TypedRow | undefined {
  const texts: Record<string, string> = {}
  const row: Record<string, number[]> = {}
  for (const [i, { name, use, limit }] of fields.entries()) {
    const input = inputOf(i)
    if (use === 'raw') {
      texts[name] = input.value
      continue
    }
    const words = use === 'token_id' ? input.value.split(/[\s,]+/).filter(Boolean) : [input.value]
    const values = words.map(Number)
    const wrong = words.find(
      (_, at) => !(Number.isInteger(values[at]) && values[at]! >= 0 && values[at]! < limit!),
    )
    if (use === 'token_id' && wrong !== undefined)
      input.setCustomValidity(`${wrong} is no token id from 0 to ${limit! - 1}`)
    row[name] = values
  }
  // What the model refused may be right by now: it is asked again.
  for (const i of fields.keys()) if (inputOf(i).hasAttribute('aria-invalid')) clearFault(i)
  if (!byId<HTMLFormElement>('score-form').reportValidity()) return undefined
  return fields.some(({ use }) => use === 'raw') ? texts : row
}

/** Says at a field what is wrong with its value; false where no field has the name. */
export function showFieldFault(name: string | undefined, message: string): boolean {
  const i = fields.findIndex(field => field.name === name)
  if (i < 0) return false
  inputOf(i).setCustomValidity(message)
  inputOf(i).setAttribute('aria-invalid', 'true')
  const hint = byId(`hint-${i}`)
  hint.textContent = message
  hint.classList.add('fault')
  inputOf(i).focus()
  return true
}

function clearFault(i: number): void {
  const input = inputOf(i)
  input.setCustomValidity('')
  if (!input.hasAttribute('aria-invalid')) return
  input.removeAttribute('aria-invalid')
  const hint = byId(`hint-${i}`)
  hint.textContent = hintOf(fields[i]!)
  hint.classList.remove('fault')
}
