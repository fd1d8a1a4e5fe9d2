// What a trained model says and gives: scores of a row, predictions and its files as links.
import { byId, count, make } from './dom.ts'
import type { Ready, ToPage } from './protocol.ts'

const percent = (share: number) => `${(100 * share).toFixed(2)} %`

const COMMANDS = [
  'tar -xf model.tar',
  'npx kernelgrad predict --model model --data FILE --out scores.csv',
  'npx kernelgrad serve --model model',
]
const command = (textContent: string) => make('code', { textContent })

/** Shows what is trained where, with nothing answered yet. */
export function showReady({ name, adapter, parameters, label, classes, rows }: Ready): void {
  const some = rows.evaluated < rows.heldOut ? `, ${count(rows.evaluated)} of them evaluated on the way` : ''
  byId('facts').textContent = `${name}, ${count(parameters)} parameters, on ${adapter}`
  byId('facts-rows').textContent =
    `${count(rows.train)} rows are trained on; ${count(rows.heldOut)} are held out${some}.`
  const two = classes.length === 2
  byId('auc-name').textContent = two ? 'ROC AUC' : 'Accuracy'
  byId('auc-title').textContent = two ? 'Area under the curve' : 'Accuracy'
  byId('auc-keys').hidden = byId('pr-auc-figure').hidden = !two
  byId('predict-file').hidden = label === undefined
  byId('files-text').replaceChildren(
    ...(label === undefined
      ? ["Two files that kernelgrad's loadModel opens in Node, and PyTorch by the same parameter names."]
      : ['One archive: the model, and what was learned of the table. Then:', ...COMMANDS.map(command)]),
  )
  byId('scored').textContent = ''
  for (const id of ['notes', 'links', 'predicted']) byId(id).replaceChildren()
}

export function showScores({ scores, notes }: Extract<ToPage, { type: 'scored' }>, of: Ready): void {
  const told = Object.entries(scores).map(([name, score]) => {
    if (name !== 'probability' && !/^probability_\d+$/.test(name)) return `${name} ${score.toFixed(4)}`
    if (of.label === undefined) return `Click probability ${percent(score)}`
    const code = name === 'probability' ? 1 : Number(name.slice(name.indexOf('_') + 1))
    return `${of.label} is ${of.classes[code]}: ${percent(score)}`
  })
  byId('scored').textContent = told.join(', ')
  byId('scored').dataset.scores = JSON.stringify(scores)
  byId('notes').replaceChildren(...notes.map(textContent => make('li', { textContent })))
}

const link = (name: string, content: Blob) =>
  make('a', { download: name, href: URL.createObjectURL(content), textContent: name })

export function showPredictions({ name, csv }: Extract<ToPage, { type: 'predicted' }>): void {
  byId('predicted').replaceChildren(link(name, csv))
  byId('predicted').querySelector('a')!.focus()
}

export function showFiles(files: { name: string; content: Blob }[]): void {
  byId('links').replaceChildren(...files.map(({ name, content }) => link(name, content)))
}
