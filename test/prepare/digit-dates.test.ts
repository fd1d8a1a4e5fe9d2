// Dates that are written in digits alone, as click logs have them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Preparation, prepareTable } from '../../src/prepare/index.ts'
import { numbersFrom } from './tables.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelgrad-digit-dates-'))
test.after(() => rmSync(folder, { recursive: true }))

test('dates of digits alone are dates by the name of their column, with the hour where they have one', async () => {
  const draw = numbersFrom(3)
  const two = (n: number) => String(n).padStart(2, '0')
  const lines = Array.from({ length: 200 }, () => {
    const [month, day, hour] = [
      1 + Math.floor(draw() * 12),
      1 + Math.floor(draw() * 28),
      Math.floor(draw() * 24),
    ]
    const early = `9${two(month)}${two(day)}${two(hour)}` // of 2009, without the zero in front
    return `${draw() < 0.5 ? 1 : 0},14${two(month)}${two(day)}${two(hour)},2014${two(month)}${two(day)},${early}`
  })
  const input = join(folder, 'digits.csv')
  writeFileSync(input, `clicked,hour,sold_date,amount\n${lines.join('\n')}\n`)
  const output = join(folder, 'digits')
  const columns = { amount: { role: 'date', date_format: 'yymmddhh' } } as const
  const told = await prepareTable({ input, label: 'clicked', output, columns, testShare: 0 })
  assert.equal(told.columns.map(({ name, role, says }) => [name, role, says]).slice(1), [
    ['hour', 'date', 'yymmddhh, to days, month, weekday, hour'],
    ['sold_date', 'date', 'yyyymmdd, to days, month, weekday'],
    ['amount', 'date', 'yymmddhh, to days, month, weekday, hour'],
  ])
  const preparation = await Preparation.read(output)
  const row = (hour: unknown, sold_date: unknown, amount: unknown) =>
    preparation.apply([{ hour, sold_date, amount }])
  const made = row(14102105, '20141021', 9123123)
  assert.equal(
    ['hour_month', 'hour_weekday', 'hour_hour', 'sold_date_month', 'amount_hour'].map(
      name => made.ids[name]?.[0],
    ),
    [10, 2, 6, 10, 24],
  )
  const wrong: [[unknown, unknown, unknown], RegExp][] = [
    [[14102124, 20141021, 9123123], /column 'hour': value 14102124, expected a date as 24123123/],
    [[14023005, 20141021, 9123123], /column 'hour': value 14023005/],
    [['2014-10-21', 20141021, 9123123], /column 'hour': value '2014-10-21'/],
    [[14102105, 20141321, 9123123], /column 'sold_date': value 20141321, expected a date as 20241231/],
    [[14102105, 141021, 9123123], /column 'sold_date': value 141021/],
    [[14102105, 20141021, -9123123], /column 'amount': value -9123123/],
  ]
  for (const [values, message] of wrong) assert.throws(() => row(...values), message)
})

test.run()
