// The example's page, built and served.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type PreviewServer, preview } from 'vite'

/** Builds it into `folder` and serves it on a port that is free. */
export async function servePage(folder: string): Promise<{ server: PreviewServer; url: string }> {
  const outDir = join(folder, 'page')
  const configFile = fileURLToPath(new URL('../../../examples/browser/vite.config.ts', import.meta.url))
  await build({ configFile, build: { outDir, emptyOutDir: true }, logLevel: 'error' })
  const server = await preview({
    configFile: false,
    root: folder,
    build: { outDir },
    preview: { host: '127.0.0.1', port: 0 },
    logLevel: 'error',
  })
  return { server, url: server.resolvedUrls!.local[0]! }
}
