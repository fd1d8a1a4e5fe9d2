// Files of any kind of source, opened.
import { isParquetFile, openParquet, type ParquetFile } from './parquet.ts'
import { parquetFiles } from './parquet-files.ts'
import type { ParquetSource } from './source.ts'

/** Opens what sources stand for, in order: every footer is read before the first file's data. */
export async function openAll(
  sources: ParquetSource | ParquetFile | readonly (ParquetSource | ParquetFile)[],
): Promise<ParquetFile[]> {
  const opened: ParquetFile[] = []
  // Paths side by side are looked up together, so that none is taken twice by two patterns.
  const all = Array.isArray(sources) ? sources : [sources as ParquetSource | ParquetFile]
  for (let i = 0; i < all.length; i++) {
    const source = all[i]!
    if (typeof source !== 'string') {
      opened.push(isParquetFile(source) ? source : await openParquet(source))
      continue
    }
    const paths = [source]
    while (typeof all[i + 1] === 'string') paths.push(all[++i] as string)
    for (const path of await parquetFiles(paths, 'loadDataset')) opened.push(await openParquet(path))
  }
  return opened
}
