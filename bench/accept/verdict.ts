import type { Ended } from './part.ts'
import type { Claim, TestFile } from './tests.ts'

/** What failed, was not done or does not hold. */
export function problemsOf(parts: Record<string, Ended>): string[] {
  const problems: string[] = []
  for (const [name, { status, error }] of Object.entries(parts))
    if (status !== 'done') problems.push(`${name}: ${status}${error ? `: ${error.split('\n')[0]}` : ''}`)
  const losses = parts.losses?.result as { holds: boolean; worst: object; bound: object } | undefined
  if (losses && !losses.holds)
    problems.push(
      `losses: off by ${JSON.stringify(losses.worst)} of a loss, expected at most ${JSON.stringify(losses.bound)}`,
    )
  const { claims = [] } = (parts.claims?.result ?? {}) as { claims?: Claim[] }
  for (const { claim, holds, failed } of claims)
    if (!holds) problems.push(`does not hold: ${claim} (${failed.join('; ')})`)
  const { files = [] } = (parts.tests?.result ?? {}) as { files?: TestFile[] }
  for (const { file, failed } of files) if (failed.length) problems.push(`${file}: ${failed.join('; ')}`)
  return problems
}
