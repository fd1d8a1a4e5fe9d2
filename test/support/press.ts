// Loaded before the command (`--import`): presses Ctrl-C in its own process, each time that what it tells matches the next pattern.
const patterns = (JSON.parse(process.env.KERNELGRAD_TEST_PRESS!) as string[]).map(
  text => new RegExp(text, 'm'),
)
for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream) as (...all: unknown[]) => boolean
  stream.write = ((text: string, ...more: unknown[]) => {
    const written = write(text, ...more)
    if (patterns[0]?.test(String(text))) {
      patterns.shift()
      process.kill(process.pid, 'SIGINT')
    }
    return written
  }) as typeof stream.write
}
