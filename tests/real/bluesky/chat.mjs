// The chat service of the test network: direct messages between its accounts, kept in memory.
//
// Bluesky publishes no chat server, so this answers the chat.bsky.convo calls that clients make, in the shapes their
// own schemas ask for. The PDS reaches it as the service #bsky_chat of did:web:api.bsky.chat, as in the real network,
// and vouches for the caller with a service token whose issuer is the account. This stub does not check its signature.

import { randomInt } from 'node:crypto'
import http from 'node:http'

const DIGITS = '234567abcdefghijklmnopqrstuvwxyz'
const BODY_LIMIT = 1 << 20
let last = 0n

// A timestamp identifier as the network makes them: 13 digits that sort by time.
function tid() {
  const now = BigInt(Date.now()) * 1000n
  last = now > last ? now : last + 1n
  let rest = (last << 10n) | BigInt(randomInt(1024))
  let text = ''
  for (let i = 0; i < 13; i++) {
    text = DIGITS[Number(rest & 31n)] + text
    rest >>= 5n
  }
  return text
}

class Refusal extends Error {
  constructor(error, message, status = 400) {
    super(message)
    this.body = { error, message }
    this.status = status
  }
}

/** The conversations and the calls on them; `handleOf(did)` names the members. */
export class Chat {
  constructor(handleOf) {
    this.handleOf = handleOf
    this.convos = new Map()
    this.log = []
  }

  async view(convo, me) {
    const members = await Promise.all(convo.members.map(async (did) => ({ did, handle: await this.handleOf(did) })))
    const lastMessage = this.messages(convo, me).at(-1)
    return { id: convo.id, rev: convo.rev, members, muted: false, status: 'accepted', unreadCount: 0, ...(lastMessage && { lastMessage }) }
  }

  messages(convo, me) {
    return convo.messages.filter((message) => !message.hiddenFrom.has(me)).map((message) => message.view)
  }

  convo(id, me) {
    const convo = this.convos.get(id)
    if (!convo?.members.includes(me)) throw new Refusal('InvalidConvo', 'no such conversation')
    return convo
  }

  message(convo, id) {
    const message = convo.messages.find((candidate) => candidate.view.id === id)
    if (!message) throw new Refusal('InvalidRequest', 'no such message')
    return message
  }

  forMembers(me, others) {
    const members = [...new Set([me, ...others])].sort()
    if (members.length < 2) throw new Refusal('InvalidRequest', 'a conversation needs two members')
    const key = members.join(' ')
    for (const convo of this.convos.values()) if (convo.key === key) return convo
    const convo = { id: tid(), rev: tid(), key, members, messages: [] }
    this.convos.set(convo.id, convo)
    return convo
  }

  send(me, convoId, message) {
    const convo = this.convo(convoId, me)
    if (typeof message?.text !== 'string') throw new Refusal('InvalidRequest', 'a message needs text')
    const id = tid()
    const view = {
      $type: 'chat.bsky.convo.defs#messageView', id, rev: id, text: message.text,
      ...(message.facets && { facets: message.facets }), sender: { did: me }, sentAt: new Date().toISOString(),
    }
    convo.messages.push({ view, hiddenFrom: new Set() })
    convo.rev = id
    this.log.push({ $type: 'chat.bsky.convo.defs#logCreateMessage', rev: id, convoId, message: view })
    return view
  }

  react(me, { convoId, messageId, value }, add) {
    const { view } = this.message(this.convo(convoId, me), messageId)
    const kept = (view.reactions ?? []).filter((r) => r.value !== value || r.sender.did !== me)
    view.reactions = add ? [...kept, { value, sender: { did: me }, createdAt: new Date().toISOString() }] : kept
    return { message: view }
  }

  async call(method, me, query, body) {
    switch (method) {
      case 'getConvoForMembers':
        return { convo: await this.view(this.forMembers(me, query.getAll('members')), me) }
      case 'getConvo':
        return { convo: await this.view(this.convo(query.get('convoId'), me), me) }
      case 'listConvos': {
        const mine = [...this.convos.values()].filter((convo) => convo.members.includes(me))
        return { convos: await Promise.all(mine.map((convo) => this.view(convo, me))) }
      }
      case 'getMessages':
        return { messages: this.messages(this.convo(query.get('convoId'), me), me).reverse() }
      case 'getLog': {
        const after = query.get('cursor') ?? ''
        const logs = this.log.filter((entry) => entry.rev > after && this.convos.get(entry.convoId).members.includes(me))
        return { logs, cursor: logs.at(-1)?.rev ?? after }
      }
      case 'sendMessage':
        return this.send(me, body.convoId, body.message)
      case 'sendMessageBatch':
        return { items: (body.items ?? []).map((item) => this.send(me, item.convoId, item.message)) }
      case 'addReaction':
        return this.react(me, body, true)
      case 'removeReaction':
        return this.react(me, body, false)
      case 'deleteMessageForSelf': {
        const message = this.message(this.convo(body.convoId, me), body.messageId)
        message.hiddenFrom.add(me)
        const { id, rev, sender, sentAt } = message.view
        return { id, rev, sender, sentAt }
      }
      case 'updateRead':
        return { convo: await this.view(this.convo(body.convoId, me), me) }
      default:
        throw new Refusal('MethodNotImplemented', `${method} is not implemented`, 501)
    }
  }
}

function caller(request) {
  const payload = request.headers.authorization?.replace(/^Bearer /, '').split('.')[1]
  try {
    return JSON.parse(Buffer.from(payload, 'base64url').toString()).iss.split('#')[0]
  } catch {
    throw new Refusal('AuthMissing', 'no service token', 401)
  }
}

async function bodyOf(request) {
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > BODY_LIMIT) throw new Refusal('PayloadTooLarge', 'body too large', 413)
    chunks.push(chunk)
  }
  return size === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString())
}

/** Serves a Chat on a free loopback port and returns the port. */
export async function startChat(chat, later) {
  const server = http.createServer(async (request, response) => {
    const answer = (status, body) => {
      response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
      response.end(JSON.stringify(body))
    }
    try {
      const url = new URL(request.url, 'http://chat')
      const method = url.pathname.replace('/xrpc/chat.bsky.convo.', '')
      const body = request.method === 'POST' ? await bodyOf(request) : {}
      answer(200, await chat.call(method, caller(request), url.searchParams, body))
    } catch (error) {
      answer(error.status ?? 500, error.body ?? { error: 'InternalServerError', message: String(error.message) })
    }
  })
  server.requestTimeout = 30_000
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  later(() => {
    server.close()
    server.closeAllConnections()
  })
  return server.address().port
}
