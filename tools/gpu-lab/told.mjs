// Reads what a driver tells of the pipelines it compiles, between the marks that step.mjs writes around each.

/** Lines of RADV (RADV_DEBUG=shaderstats), and what they are called here. */
const AMD = {
  VGPRs: 'registers',
  'Spilled VGPRs': 'spilled',
  'Spilled SGPRs': 'spilledScalars',
  'LDS size': 'shared',
  'Subgroups per SIMD': 'waves',
  Instructions: 'instructions',
  Latency: 'latency',
  'Inverse Throughput': 'throughput',
}
/** Lines of NVK (NAK_DEBUG=print). Bytes of workgroup memory stand in front of the intermediate code, which is printed several times; cycles are not told. */
const NVIDIA = {
  'Num GPRs': 'registers',
  'SLM size': 'spilled',
  shared_size: 'shared',
  'Instruction count': 'instructions',
}
const NAMES = { ...AMD, ...NVIDIA }

/** By number of the pipeline, what the driver told of it. `line` is to be called with every line, `made` has what was found. */
export function reader() {
  const made = []
  let at
  return {
    made,
    line(text) {
      const mark = /^PIPELINE (\d+|END)$/.exec(text)
      if (mark) {
        at = mark[1] === 'END' ? undefined : Number(mark[1])
        if (at !== undefined) made[at] = {}
        return
      }
      const [, name, value] = /^([A-Za-z][A-Za-z_ ]*): (\d+)$/.exec(text) ?? []
      const key = NAMES[name]
      if (at !== undefined && key) made[at][key] = Number(value)
    },
  }
}
