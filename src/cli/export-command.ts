import type { BodySpec } from './command.ts'
import { JSON_LINE } from './options.ts'

export const EXPORT: BodySpec = {
  name: 'export',
  description: 'write a model as ONNX, which onnxruntime and others run; needs no adapter',
  options: [
    { flags: '--model <folder>', description: 'folder with config.json and weights', required: true },
    {
      flags: '--onnx <file>',
      description:
        'file to write, in place of an older one; weights of more than 2 GiB go into <file>.data beside it',
      required: true,
    },
    JSON_LINE,
  ],
  example: 'kernelgrad export --model runs/mine --onnx model.onnx',
  load: () => import('./commands/export.ts'),
}
