// A real Bluesky network on loopback: directory (PLC), personal data server, AppView with bsync on a throw-away
// Postgres, a small chat service, and TLS in front of the data server.
//
// The data server believes that it is https://HOST on port 443, so clients dial HOST:443 and the proxy's
// `upstream.resolve` (printed when ready) leads that to the port that this really listens on.

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { live, options } from '../lib/life.mjs'
import { startPostgres } from '../lib/postgres.mjs'
import { tlsInFrontOf } from '../lib/tls.mjs'
import { Chat, startChat } from './chat.mjs'

const USAGE = `usage: network.mjs --cert FILE --key FILE [--host pds.test] [--port 0] [--account HANDLE:PASSWORD]...
                   [--no-appview] [--keep]
`
const CHAT_DID = 'did:web:api.bsky.chat'
const LIMIT_MS = 120_000

const args = options({
  cert: { type: 'string' }, key: { type: 'string' }, host: { type: 'string', default: 'pds.test' },
  port: { type: 'string', default: '0' }, account: { type: 'string', multiple: true, default: [] },
  'no-appview': { type: 'boolean', default: false }, keep: { type: 'boolean', default: false },
}, USAGE)
if (!args.cert || !args.key) {
  process.stderr.write(USAGE)
  process.exit(2)
}

await live({ limitMs: LIMIT_MS, keep: args.keep }, async (later) => {
  const scratch = mkdtempSync(join(tmpdir(), 'bluesky-'))
  chmodSync(scratch, 0o755) // Postgres runs as another user below it.
  later(() => rmSync(scratch, { recursive: true, force: true }))
  // The network's own files land below TMPDIR, and it logs to standard output unless told not to.
  process.env.TMPDIR = scratch
  process.env.LOG_ENABLED = 'false'
  const { TestBsky, TestBsync, TestPds, TestPlc, mockNetworkUtilities } = await import('@atproto/dev-env')

  const plc = await TestPlc.create({})
  later(() => plc.close())
  let handleOf = async () => 'handle.invalid'
  const chat = new Chat((did) => handleOf(did))
  const chatPort = await startChat(chat, later)
  const pdsPort = await freePort()
  const appview = args['no-appview'] ? undefined : await startAppView({ TestBsky, TestBsync, plc, pdsPort, scratch, later })
  const pds = await TestPds.create({
    port: pdsPort,
    hostname: args.host,
    didPlcUrl: plc.url,
    enableDidDocWithSession: true,
    serviceHandleDomains: ['.test'],
    ...(appview && { bskyAppViewUrl: appview.url, bskyAppViewDid: appview.serverDid }),
  })
  later(() => pds.close())
  handleOf = async (did) => (await pds.ctx.accountManager.getAccount(did))?.handle ?? 'handle.invalid'

  // The services find each other at their loopback ports. What the data server tells its clients must stay its public
  // name all the same: a client that is told a loopback port goes there and passes the proxy by.
  const resolver = pds.ctx.idResolver.did
  const asPublished = resolver.resolveNoCache
  mockNetworkUtilities(pds, appview)
  resolver.resolveNoCache = async (did) => did === CHAT_DID
    ? { id: did, service: [{ id: '#bsky_chat', type: 'BskyChatService', serviceEndpoint: `http://localhost:${chatPort}` }] }
    : asPublished.call(resolver, did)

  const accounts = []
  for (const account of args.account) {
    const [handle, password] = split(account)
    const { data } = await pds.getAgent().com.atproto.server.createAccount({
      handle, password, email: `${handle.replaceAll('.', '-')}@example.test`,
    })
    accounts.push({ handle, did: data.did })
  }
  const port = await tlsInFrontOf(pdsPort, args, later)
  return {
    url: `https://${args.host}`,
    resolve: { [args.host]: `127.0.0.1:${port}` },
    appview: appview !== undefined,
    chat: `${CHAT_DID}#bsky_chat`,
    accounts,
  }
})

async function startAppView({ TestBsky, TestBsync, plc, pdsPort, scratch, later }) {
  const database = await startPostgres(scratch, later)
  const bsyncApiKey = 'bsync-api-key'
  const bsync = await TestBsync.create({ apiKeys: [bsyncApiKey], dbUrl: database, dbSchema: 'bsync' })
  later(() => bsync.close())
  const bsky = await TestBsky.create({
    plcUrl: plc.url,
    pdsPort,
    bsyncApiKey,
    bsyncUrl: bsync.url,
    repoProvider: `ws://localhost:${pdsPort}`,
    dbPostgresUrl: database,
    dbPostgresSchema: 'appview',
    publicUrl: 'https://appview.test',
  })
  later(() => bsky.close())
  bsync.ctx.dataplaneClients = [bsky.ctx.dataplane]
  return bsky
}

function split(account) {
  const at = account.indexOf(':')
  if (at < 1) throw new Error('an account is given as HANDLE:PASSWORD')
  return [account.slice(0, at), account.slice(at + 1)]
}

async function freePort() {
  const { createServer } = await import('node:net')
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}
