// A table's columns: which one is predicted, and a role for each of the others, found out and to be changed.
import type { AskedColumn } from 'kernelgrad/prepare'
import { breakable, byId, count, make } from './dom.ts'
import type { RoleRow, TableChoices, TableProposal, ToPage } from './protocol.ts'

const ROLES: { value: string; words: string; asked: AskedColumn }[] = [
  { value: 'category', words: 'category', asked: { role: 'category' } },
  {
    value: 'category:hash',
    words: 'category, of ever new values',
    asked: { role: 'category', hash_buckets: 1000 },
  },
  { value: 'number', words: 'number', asked: { role: 'number' } },
  { value: 'number:quantiles', words: 'number, by rank', asked: { role: 'number', scale: 'quantiles' } },
  { value: 'date', words: 'date', asked: { role: 'date' } },
  { value: 'date:dmy', words: 'date, day first', asked: { role: 'date', date_format: 'dmy' } },
  { value: 'date:mdy', words: 'date, month first', asked: { role: 'date', date_format: 'mdy' } },
  { value: 'date:seconds', words: 'date, in seconds', asked: { role: 'date', date_format: 'seconds' } },
  {
    value: 'date:milliseconds',
    words: 'date, in milliseconds',
    asked: { role: 'date', date_format: 'milliseconds' },
  },
  { value: 'text', words: 'text', asked: { role: 'text' } },
  { value: 'weight', words: 'weight of the row', asked: { role: 'weight' } },
  { value: 'ignore', words: 'not used', asked: { role: 'ignore' } },
]

let proposal: TableProposal | undefined
let asked: Record<string, AskedColumn> = {}
/** Roles that are asked for and not there yet. */
let waiting = 0
let changed: () => void = () => {}

const label = () => byId<HTMLSelectElement>('label')
const missing = () => byId<HTMLInputElement>('missing')

/** Shows a table's columns; `onChange` is called when the reader wants another label or role. */
export function showTable(next: TableProposal, onChange: () => void): void {
  proposal = next
  asked = {}
  waiting = 0
  changed = onChange
  missing().value = ''
  label().replaceChildren(
    make('option', { value: '', textContent: 'Choose the column …', selected: next.label === undefined }),
    ...next.columns
      .filter(({ nested }) => !nested)
      .map(({ name }) => make('option', { value: name, textContent: name, selected: name === next.label })),
  )
  label().onchange = changed
  missing().onchange = changed
  showFault('')
  byId('roles').hidden = true
  byId<HTMLDetailsElement>('roles').open = true
}

/** What the reader has chosen; nothing while no label is. */
export function readTable(): TableChoices | undefined {
  if (!proposal || !label().value) return undefined
  const { [label().value]: _, ...others } = asked
  const texts = missing()
    .value.split(',')
    .map(text => text.trim())
  return { kind: 'table', label: label().value, asked: others, missing: [...new Set(texts.filter(Boolean))] }
}

export function waitForRoles(): void {
  waiting++
  byId('roles').setAttribute('aria-busy', 'true')
}

/** The id of what has to be mended first; nothing where all is well. */
export const firstWrong = (): string | undefined =>
  document.querySelector('#table-form select[aria-invalid]')?.id || undefined

/** Folds the columns away: they have done their part. */
export function foldRoles(): void {
  byId<HTMLDetailsElement>('roles').open = false
}

function markWrong(select: HTMLSelectElement, wrong: boolean): void {
  if (wrong) select.setAttribute('aria-invalid', 'true')
  else select.removeAttribute('aria-invalid')
}

function showFault(problem: string): void {
  byId('label-fault').textContent = problem
  markWrong(label(), problem !== '')
}

/** Shows what was found; false while more recent roles are under way, or some column has none. */
export function showRoles({ columns, problem = '' }: Extract<ToPage, { type: 'roles' }>): boolean {
  waiting = Math.max(0, waiting - 1)
  if (waiting) return false
  byId('roles').removeAttribute('aria-busy')
  showFault(problem)
  // What was found before stays in sight while the label is mended.
  if (!columns) return false
  const focused = document.activeElement?.id
  const rows = columns.filter(({ role }) => role !== 'label')
  byId('roles-rows').replaceChildren(...rows.map(rowOf))
  byId('roles').hidden = false
  if (rows.some(row => row.problem)) byId<HTMLDetailsElement>('roles').open = true
  if (focused?.startsWith('role-')) document.getElementById(focused)?.focus()
  return !rows.some(row => row.problem)
}

function rowOf(row: RoleRow, i: number): HTMLElement {
  const { name, says, distinct, missing, problem } = row
  const of = proposal!.columns.find(column => column.name === name)!
  const select = make('select', { id: `role-${i}`, name }, optionsOf(row, of.nested))
  select.disabled = of.nested
  select.setAttribute('aria-describedby', `says-${i}`)
  markWrong(select, problem !== undefined)
  select.onchange = () => {
    asked[name] = ROLES.find(({ value }) => value === select.value)!.asked
    changed()
  }
  const cell = (
    title: string,
    content: (Node | string)[],
    properties: Partial<HTMLTableCellElement> = {},
  ) => {
    const made = make('td', properties, content)
    made.dataset.title = title
    return made
  }
  const told = problem
    ? make('span', { className: 'fault', textContent: atColumn(problem) })
    : make('span', {}, breakable(wordsOf(says)))
  return make('tr', { className: problem ? 'wrong' : '' }, [
    make('th', { scope: 'row' }, [
      make('label', { htmlFor: select.id }, breakable(name)),
      make('span', { className: 'soft sample', textContent: of.shown }),
    ]),
    cell('Role', [select]),
    cell('Values', [distinct ? count(distinct) : '–'], { className: 'number' }),
    cell('Missing', [count(missing)], { className: 'number' }),
    cell('What becomes of it', [told], { id: `says-${i}` }),
  ])
}

/** A message beside the column that it is about. */
const atColumn = (message: string): string =>
  message.replace(/^.*?(row \d+), column '.*?':/s, '$1:').replace(/^column '.*?' has/s, 'it has')

/** What was learned, for people. */
const wordsOf = (says: string): string =>
  says
    .replace(/^left out: /, 'not used: ')
    .replace(/^standard/, 'scaled by mean and deviation')
    .replace(/^quantiles/, 'its rank, from 0 to 1')
    .replace(/^none/, 'as it is')
    .replace(/, missing: (.*) and .*$/s, '; $1 where it is missing, and a sign of that')
    .replace(/^\w+, ([\d,]+) codes and unknown$/, '$1 known values, and one for others')
    .replace(/^\w+, to days, /, 'its day, ')

function optionsOf({ name, role, asked: found, problem }: RoleRow, nested: boolean): HTMLOptionElement[] {
  if (nested) return [make('option', { textContent: 'not used' })]
  const own = asked[name]
  const wanted = own ? optionFor(own, own.role) : problem ? '' : optionFor(found, role)
  const options = ROLES.map(({ value, words }) =>
    make('option', { value, textContent: words, selected: value === wanted }),
  )
  return wanted
    ? options
    : [make('option', { textContent: 'Choose …', disabled: true, selected: true }), ...options]
}

/** The option that stands for what was asked or found. */
function optionFor(of: AskedColumn, role: string): string {
  const fine =
    of.role === 'date' && of.date_format && of.date_format !== 'iso'
      ? `date:${of.date_format}`
      : of.role === 'number' && of.scale === 'quantiles'
        ? 'number:quantiles'
        : of.role === 'category' && of.hash_buckets
          ? 'category:hash'
          : role
  return ROLES.some(({ value }) => value === fine) ? fine : role
}
