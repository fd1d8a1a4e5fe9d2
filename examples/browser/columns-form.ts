// What each column of a file is: a select for each, with a proposal to confirm or change.
import { byId, count, make } from './dom.ts'
import type { Choices, Proposal, Use } from './protocol.ts'

const WORDS: Record<Use, string> = {
  token_id: 'text (token ids)',
  categorical: 'category',
  numerical: 'number',
  label: 'label: clicked or not',
  ignore: 'not used',
}

/** Shows the proposal, open where it is a guess. */
export function showColumns({ name, rows, columns, padTokenId, known }: Proposal): void {
  byId('file').textContent = `${name}: ${count(rows)} rows, ${columns.length} columns.`
  byId('columns').replaceChildren(
    ...columns.map(({ name, use, allowed, shown }, i) => {
      const options = allowed.map(value =>
        make('option', { value, textContent: WORDS[value], selected: value === use }),
      )
      const select = make('select', { id: `column-${i}`, name }, options)
      const label = make('label', { htmlFor: select.id, textContent: name })
      return make('div', { className: 'row' }, [
        label,
        select,
        make('span', { className: 'soft', textContent: shown }),
      ])
    }),
  )
  byId<HTMLInputElement>('pad').value = String(padTokenId)
  byId<HTMLDetailsElement>('choose').open = !known
}

export function readChoices(): Choices {
  const columns = [...byId('columns').querySelectorAll('select')].map(({ name, value }) => ({
    name,
    use: value as Use,
  }))
  return { columns, padTokenId: byId<HTMLInputElement>('pad').valueAsNumber }
}
