/**
 * Click data with a planted signal, as the raw text files of KDD Cup 2012 track 2: what `preprocessKdd` reads. Line i of
 * training.txt has keyword_id i, so that a row's true probability is found again after preprocessing.
 */
import { files } from '#files'
import { COUNT, expectNumber, expectOptions, shown } from '../check.ts'
import { writeFileAtomic } from '../data/files.ts'
import { randomStream } from '../data/shuffle.ts'
import { ArgumentError } from '../errors.ts'
import { checkWorld, clickProbability, drawRow, plant } from './synthetic-world.ts'

/** Sizes of the raw data; every field but folder and rows has a default. */
export interface SyntheticRawOptions {
  /** Made where it is missing. */
  folder: string
  /** Lines of training.txt, each with a title and a query of its own. */
  rows: number
  seed?: number
  /** Default 600. */
  words?: number
  /** Default 200. */
  advertisers?: number
  /** Default 1,000. */
  users?: number
  /** Share of tokens that stand in no other text and so fall out of the vocabulary; default 0.08. */
  oovShare?: number
}

const KNOWN = ['folder', 'rows', 'seed', 'words', 'advertisers', 'users', 'oovShare']

/** Token numbers from here on are used once each. */
const FIRST_LOST_WORD = 1_000_000

/**
 * Writes training.txt, titleid_tokensid.txt, queryid_tokensid.txt and userid_profile.txt. The same options give the same
 * files.
 * @returns the true click probability of each line of training.txt: the score no model can beat on average.
 */
export async function writeSyntheticRaw(options: SyntheticRawOptions): Promise<Float64Array> {
  const { folder, rows, seed = 0, words = 600, advertisers = 200, users = 1_000, oovShare = 0.08 } = options
  expectOptions('writeSyntheticRaw: options', options, KNOWN)
  if (typeof folder !== 'string')
    throw new ArgumentError(`writeSyntheticRaw: folder is ${shown(folder)}, expected a path`)
  expectNumber('writeSyntheticRaw: rows', rows, COUNT)
  checkWorld('writeSyntheticRaw', { words, advertisers, users, seed, oovShare })
  await files.makeFolder(folder)
  const world = plant({ words, advertisers, users, seed })
  const random = randomStream(seed, 1)
  const probability = new Float64Array(rows)
  const [training, titles, queries]: string[][] = [[], [], []]
  let lost = FIRST_LOST_WORD
  // Words are lost only after they had their effect, as in real data.
  const tokens = (text: Uint32Array) =>
    Array.from(text, word => (random.uniform() < oovShare ? lost++ : word)).join('|')
  for (let i = 0; i < rows; i++) {
    const row = drawRow(world, random)
    probability[i] = clickProbability(world, row)
    const click = random.uniform() < probability[i]! ? 1 : 0
    const { advertiser, depth, position, user } = row
    const ad = advertiser * 25 + (i % 25)
    const url = 10n ** 18n + BigInt(advertiser)
    training!.push([click, 1, url, ad, advertiser, depth, position, i, i, i, i, user].join('\t'))
    titles!.push(`${i}\t${tokens(row.title)}`)
    queries!.push(`${i}\t${tokens(row.query)}`)
  }
  const profiles = Array.from(
    { length: users },
    (_, user) => `${user}\t${world.gender[user]}\t${world.age[user]! + 1}`,
  )
  for (const [name, lines] of [
    ['training.txt', training!],
    ['titleid_tokensid.txt', titles!],
    ['queryid_tokensid.txt', queries!],
    ['userid_profile.txt', profiles],
  ] as const)
    await writeFileAtomic(files.join(folder, name), async file => {
      for (let start = 0; start < lines.length; start += 50_000)
        await file.write(`${lines.slice(start, start + 50_000).join('\n')}\n`)
    })
  return probability
}
