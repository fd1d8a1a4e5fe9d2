import { build } from 'esbuild'

/** What a bundler makes of compiled scripts for a browser: text by file name. */
export async function bundleForBrowser(entries: Record<string, string>): Promise<Map<string, Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: entries,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    outdir: '/',
    logLevel: 'error',
  })
  return new Map(outputFiles.map(({ path, contents }) => [path, contents]))
}
