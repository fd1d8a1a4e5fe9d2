// What each column of a file of tokens is: a select for each, with a proposal to confirm or change.
import { breakable, byId, make } from './dom.ts'
import type { TokenChoices, TokenProposal, Use } from './protocol.ts'

const WORDS: Record<Use, string> = {
  token_id: 'text (token ids)',
  categorical: 'category',
  numerical: 'number',
  label: 'label: clicked or not',
  ignore: 'not used',
}

/** Shows the proposal, open where it is a guess. */
export function showColumns({ columns, padTokenId, known }: TokenProposal): void {
  byId('columns').replaceChildren(
    ...columns.map(({ name, use, allowed, shown }, i) => {
      const options = allowed.map(value =>
        make('option', { value, textContent: WORDS[value], selected: value === use }),
      )
      const select = make('select', { id: `column-${i}`, name }, options)
      const label = make('label', { htmlFor: select.id }, breakable(name))
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

export function readChoices(): TokenChoices {
  const columns = [...byId('columns').querySelectorAll('select')].map(({ name, value }) => ({
    name,
    use: value as Use,
  }))
  return { kind: 'tokens', columns, padTokenId: byId<HTMLInputElement>('pad').valueAsNumber }
}
