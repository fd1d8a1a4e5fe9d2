import { UsageError } from '../../errors.ts'
import { describeExported } from '../../onnx/export.ts'
import { exportOnnx, type OnnxTensor } from '../../onnx/index.ts'
import { checkOutputs, folderInputs, isStdout, makeFolderOf } from '../outputs.ts'
import { talkStream } from '../say.ts'
import { formatTable } from '../table.ts'

export interface ExportOptions {
  model: string
  onnx: string
  json?: boolean
}

/** Writes a saved model as ONNX, and tells what goes in and comes out. */
export async function run({ model, onnx, json }: ExportOptions): Promise<void> {
  const toStdout = await isStdout(onnx)
  if (toStdout && json) throw new UsageError(`--onnx ${onnx} is stdout, where --json goes; name a file`)
  // Before anything is made: a model that is not there, or has no graph.
  await describeExported(model)
  const reads = await folderInputs('--model', model)
  await checkOutputs({ reads, writes: [onnx, `${onnx}.data`], option: '--onnx' })
  await makeFolderOf(onnx)
  const written = await exportOnnx(model, onnx)
  if (json) return void process.stdout.write(`${JSON.stringify(written)}\n`)
  const row = (way: string) => (tensor: OnnxTensor) => [
    way,
    tensor.name,
    tensor.dtype,
    `[${tensor.shape.join(', ')}]`,
  ]
  const rows = [...written.inputs.map(row('in')), ...written.outputs.map(row('out'))]
  const { architecture, opset, bytes } = written
  const files = [written.path, ...(written.dataPath === undefined ? [] : [written.dataPath])].join(' and ')
  talkStream(toStdout).write(
    `${formatTable(['', 'name', 'type', 'shape'], rows)}\n\n${architecture} in ${files}, ${bytes} bytes, opset ${opset}\n`,
  )
}
