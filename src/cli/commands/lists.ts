import { type GroupListsOptions, groupLists } from '../../datasets/lists/index.ts'
import { inStages } from '../in-stages.ts'
import { count, formatTable } from '../table.ts'

export interface ListsCommandOptions
  extends Pick<
    GroupListsOptions,
    'name' | 'order' | 'longest' | 'longer' | 'split' | 'query' | 'time' | 'seed'
  > {
  data: string[]
  by: string[]
  out: string
  testShare?: number
  memory?: number
  json?: boolean
}

/** Writes rows list by list; a signal removes what is half done. */
export async function run({ out, memory, json, ...more }: ListsCommandOptions): Promise<void> {
  await inStages({ out, json }, async how => {
    const { files, longest, cut } = await groupLists({
      ...{ ...more, output: out, ...how },
      ...(memory === undefined ? {} : { memoryMiB: memory }),
    })
    return {
      json: { ...files, longest, cut },
      told(time) {
        const table = formatTable(
          ['file', 'lists', 'rows'],
          Object.values(files).map(({ path, lists, rows }) => [path, count(lists), count(rows)]),
        )
        const shorter = cut ? `; ${count(cut)} longer ones were cut` : ''
        return `\n${table}\n\nthe longest list has ${count(longest)} rows${shorter}; done in ${time}\n`
      },
    }
  })
}
