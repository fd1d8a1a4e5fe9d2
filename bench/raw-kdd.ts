// Raw KDD Cup 2012 track 2 files of any size, made by DuckDB: numbers without meaning, but skewed as traffic is. The token
// and profile files are as large beside training.txt as the competition's are, up to its own sizes.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'

/** Rows of the competition's files. */
const FULL = { training: 149_639_105, titles: 4_051_441, queries: 26_243_606, users: 23_669_283 }

/** Uniform in [0, 1), the same for the same row and stream on every machine. */
const uniform = (stream: number, row = 'i') =>
  `(md5_number_lower(concat(${row}, '/', ${stream})) >> 11)::DOUBLE / ${2 ** 53}`

/**
 * Writes the four files into `folder`; the same rows give the same bytes.
 * @param rows lines of training.txt. The other files reach the competition's sizes at 30 million.
 */
export async function writeRawKdd(folder: string, rows: number): Promise<void> {
  await mkdir(folder, { recursive: true })
  const share = Math.min(1, rows / 30e6)
  const [titles, queries, users] = [FULL.titles, FULL.queries, FULL.users].map(n => Math.ceil(n * share))
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '1GiB' })
  const connection = await instance.connect()
  const write = (name: string, count: number, columns: string[]) =>
    connection.run(
      `COPY (SELECT ${columns.join(', ')} FROM range(${count}) t(i)) TO '${join(folder, name).replaceAll("'", "''")}'
       (FORMAT csv, DELIMITER '\\t', HEADER false, QUOTE '')`,
    )
  // The fourth power gives the skew: half of the draws are among the first sixteenth.
  const skewed = (n: number, stream: number, row?: string) =>
    `floor(${n} * pow(${uniform(stream, row)}, 4))::BIGINT`
  const tokens = (least: number, most: number) =>
    `list_aggregate(list_transform(range(${least} + floor(${most - least + 1} * ${uniform(90)})::BIGINT), ` +
    `lambda k: ${skewed(1_000_000, 91, "concat(i, '-', k)")}), 'string_agg', '|')`
  await write('titleid_tokensid.txt', titles!, ['i * 3 AS id', tokens(3, 14)])
  await write('queryid_tokensid.txt', queries!, ['i * 3 AS id', tokens(1, 5)])
  await write('userid_profile.txt', users!, ['i + 1 AS id', 'i % 3 AS gender', '1 + i % 6 AS age'])
  await write('training.txt', rows, [
    `(${uniform(1)} < 0.05)::INTEGER AS click`,
    '1 AS impression',
    `md5_number_lower(concat(i, '/url')) AS display_url`,
    `${skewed(600_000, 2)} AS ad_id`,
    `${skewed(14_000, 3)} AS advertiser_id`,
    '1 + i % 3 AS depth',
    '1 AS position',
    // One text in fifty has no tokens on file; every tenth user is unknown.
    `CASE WHEN i % 50 = 7 THEN 1 ELSE 3 * ${skewed(queries!, 4)} END AS query_id`,
    `${skewed(1_000_000, 5)} AS keyword_id`,
    `3 * ${skewed(titles!, 6)} AS title_id`,
    `${skewed(3_000_000, 7)} AS description_id`,
    `CASE WHEN i % 10 = 3 THEN 0 ELSE 1 + ${skewed(users!, 8)} END AS user_id`,
  ])
  connection.closeSync()
  instance.closeSync()
}
