// A process that saves until it is killed.
import { saveForever } from './save-forever.ts'

const [output, kept] = process.argv.slice(2) as [string, string]
await saveForever(output, Number(kept), text => process.stdout.write(text))
