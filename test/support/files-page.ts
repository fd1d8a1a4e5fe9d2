// What a page does with its files, for the test of them.

import { readJson, readText, writeFileAtomic } from '../../src/data/files.ts'
import { files } from '../../src/data/files-browser.ts'

const failure = (work: Promise<unknown>) =>
  work.then(
    () => 'none',
    error => `${error.name}: ${error.message}`,
  )

/** What is there, and whether it says when it was written. */
const told = ({ modified, ...there }: Awaited<ReturnType<typeof files.stat>>) => ({
  ...there,
  dated: modified !== undefined && Number(modified) > 0,
})

export async function useFiles() {
  const { join, dirname, basename } = files
  await files.remove('a')
  await files.makeFolder('a/sub')
  await writeFileAtomic('a/b.txt', file => file.write('a longer first one\n'))
  await writeFileAtomic('a/b.txt', async file => {
    await file.write('sec')
    await file.write(new TextEncoder().encode('ond\n'))
  })
  const seen = {
    joined: [
      join('a', './b', 'c'),
      join('/a/', 'b', '../c'),
      dirname('a/b.txt'),
      basename('a/b.txt'),
      dirname('a'),
    ],
    stat: [told(await files.stat('a/b.txt')), told(await files.stat('a/sub'))],
    text: await readText('a/b.txt'),
    names: (await files.list('a')).sort(),
    missing: await failure(readJson('a/none.json')),
    folder: await failure(readJson('a/sub')),
    below: await failure(writeFileAtomic('a/b.txt/c', file => file.write('x'))),
    failed: await failure(
      writeFileAtomic('a/b.txt', async file => {
        await file.write('half')
        throw new Error('power cut')
      }),
    ),
  }
  await files.remove('a/b.txt')
  await files.remove('a/b.txt')
  return { ...seen, after: await files.list('a') }
}
