// TLS in front of a plain HTTP server on loopback: HTTP/2 and HTTP/1.1 by ALPN, upgrades passed through.
// Headers and bodies go through as they are; only the hop-by-hop ones are dropped.

import { readFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'

const IDLE_LIMIT_MS = 120_000
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'http2-settings']

function endToEnd(headers) {
  const kept = {}
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith(':') && !HOP_BY_HOP.includes(name)) kept[name] = value
  }
  return kept
}

/** Listens on 127.0.0.1:`port` with the given certificate and hands every request to 127.0.0.1:`to`. */
export async function tlsInFrontOf(to, { cert, key, port = 0, host }, later) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 256, noDelay: true })
  const server = http2.createSecureServer({ allowHTTP1: true, cert: readFileSync(cert), key: readFileSync(key) })
  server.on('request', (request, response) => {
    const headers = { ...endToEnd(request.headers), host: request.headers.host ?? request.headers[':authority'] ?? host }
    const inner = http.request({ host: '127.0.0.1', port: to, agent, method: request.method, path: request.url, headers })
    inner.setTimeout(IDLE_LIMIT_MS, () => inner.destroy(new Error('idle')))
    inner.on('response', (answer) => {
      response.writeHead(answer.statusCode, endToEnd(answer.headers))
      answer.pipe(response)
      answer.on('error', () => response.destroy())
    })
    inner.on('error', () => {
      if (!response.headersSent) response.writeHead(502)
      response.end()
    })
    response.on('close', () => inner.destroy())
    request.pipe(inner)
  })
  server.on('upgrade', (request, socket, head) => {
    const inner = net.connect({ host: '127.0.0.1', port: to, noDelay: true }, () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`]
      for (let i = 0; i < request.rawHeaders.length; i += 2) {
        lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`)
      }
      inner.write(`${lines.join('\r\n')}\r\n\r\n`)
      inner.write(head)
      inner.pipe(socket).pipe(inner)
    })
    inner.on('error', () => socket.destroy())
    socket.on('error', () => inner.destroy())
    socket.on('close', () => inner.destroy())
  })
  server.on('sessionError', () => {})
  server.on('tlsClientError', () => {})
  const sockets = new Set()
  server.on('secureConnection', (socket) => {
    socket.setNoDelay(true)
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(Number(port), '127.0.0.1', resolve)
  })
  later(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
    agent.destroy()
  })
  return server.address().port
}
