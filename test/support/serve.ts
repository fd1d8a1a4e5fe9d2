// A static server for pages under test, from memory.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Served {
  url: string
  close(): void
}

const TYPES: Record<string, string> = { js: 'text/javascript', html: 'text/html', css: 'text/css' }

/** Serves what `find` gives for a path that starts with a slash. */
export async function serve(find: (path: string) => string | Uint8Array | undefined): Promise<Served> {
  const server = createServer((request, response) => {
    const path = new URL(request.url!, 'http://localhost').pathname
    const body = find(path)
    const type = TYPES[path.split('.').at(-1)!] ?? 'text/html'
    response.writeHead(body === undefined ? 404 : 200, { 'Content-Type': type })
    response.end(body)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
