import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { quickstart } from '../../examples/quickstart.ts'

test('the quickstart learns', async () => {
  const [first, last] = await quickstart(100)
  assert.ok(first > 0.5, `starts at ${first}`)
  assert.ok(last < 0.15, `ends at ${last}`)
})

test.run()
