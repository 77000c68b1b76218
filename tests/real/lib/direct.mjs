// How a client script reaches its server: through the proxy that the environment names (as any program would), or,
// for people who are nobody's advisor, straight to the address given by `--resolve HOST=ADDRESS:PORT`.

import net from 'node:net'
import tls from 'node:tls'
import { Agent, EnvHttpProxyAgent, setGlobalDispatcher } from 'undici'

const CONNECT_LIMIT_MS = 10_000
const ANSWER_LIMIT_MS = 60_000

/** Installs the dispatcher for every fetch of this process. `resolve` is a list of HOST=ADDRESS:PORT. */
export function dispatch(resolve = []) {
  const limits = { headersTimeout: ANSWER_LIMIT_MS, bodyTimeout: ANSWER_LIMIT_MS }
  if (resolve.length === 0) {
    setGlobalDispatcher(new EnvHttpProxyAgent({ ...limits, connect: { timeout: CONNECT_LIMIT_MS } }))
    return
  }
  const places = new Map(resolve.map((entry) => {
    const [, host, address, port] = /^([^=]+)=(.+):(\d+)$/.exec(entry) ?? []
    if (!host) throw new Error('--resolve wants HOST=ADDRESS:PORT')
    return [host, { host: address, port: Number(port) }]
  }))
  setGlobalDispatcher(new Agent({
    ...limits,
    connect: ({ hostname, port }, done) => {
      const place = places.get(hostname) ?? { host: hostname, port: Number(port || 443) }
      const plain = net.connect({ ...place, noDelay: true, timeout: CONNECT_LIMIT_MS })
      const secure = tls.connect({ socket: plain, servername: hostname, ALPNProtocols: ['http/1.1'] })
      secure.once('secureConnect', () => {
        plain.setTimeout(0)
        secure.off('error', done)
        done(null, secure)
      })
      secure.once('error', done)
      plain.once('timeout', () => plain.destroy(new Error('connecting took too long')))
      plain.once('error', (error) => secure.destroy(error))
    },
  }))
}
