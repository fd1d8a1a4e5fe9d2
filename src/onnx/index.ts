/**
 * Models as ONNX files, which other programs run.
 *
 * @module kernelgrad/onnx
 */
export { exportOnnx, type OnnxExport, type OnnxOptions, onnxArchitectures } from './export.ts'
export type { Dim, OnnxTensor } from './graph.ts'
