// The official JavaScript client, unmodified, doing what an advisor does; one JSON line for each thing done, with what
// the server answered, so that a test can compare what the network accepted with what the archive holds.
//
// Proxy and trust come from the environment, as for any program: HTTPS_PROXY=http://device:secret@127.0.0.1:PORT and
// NODE_EXTRA_CA_CERTS=ca.pem. `--resolve` goes past the proxy, for people who are nobody's advisor.

import { AtpAgent, RichText } from '@atproto/api'
import { dispatch } from '../lib/direct.mjs'
import { options, say, within } from '../lib/life.mjs'

const USAGE = `usage: client.mjs --handle HANDLE --password PASSWORD [--service https://pds.test] [--create] [--tag TAG]
                  [--other HANDLE] [--parent AT-URI] [--text TEXT] [--resolve HOST=ADDRESS:PORT]... [--keep-going]
                  [--steps a,b,...]
steps: profile post reply like repost follow quote image batch edit delete thread timeline notifications feed dm
       dmreact posts:N; the default is all of them but posts:N
`
const ALL = [
  'profile', 'post', 'reply', 'like', 'repost', 'follow', 'quote', 'image', 'batch', 'edit', 'thread', 'timeline',
  'notifications', 'feed', 'dm', 'dmreact', 'delete',
]
const STEP_LIMIT_MS = 60_000
// One white pixel.
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==', 'base64')

const args = options({
  service: { type: 'string', default: 'https://pds.test' }, handle: { type: 'string' }, password: { type: 'string' },
  create: { type: 'boolean', default: false }, tag: { type: 'string', default: Date.now().toString(36) },
  other: { type: 'string' }, parent: { type: 'string' }, text: { type: 'string' },
  resolve: { type: 'string', multiple: true, default: [] }, 'keep-going': { type: 'boolean', default: false },
  steps: { type: 'string', default: ALL.join(',') },
}, USAGE)
if (!args.handle || !args.password) {
  process.stderr.write(USAGE)
  process.exit(2)
}

dispatch(args.resolve)
const agent = new AtpAgent({ service: args.service })
const chat = agent.withProxy('bsky_chat', 'did:web:api.bsky.chat')
const texted = (what) => args.text ?? `${what} ${args.tag} — žluťoučký kůň, 東京 🚀`
const created = []
const conversation = {}

const parts = (uri) => {
  const [, , repo, collection, rkey] = uri.split('/')
  return { repo, collection, rkey }
}
const note = (did, ref, more) => {
  created.push({ did, ...ref, ...more })
  return { uri: ref.uri, cid: ref.cid, ...more }
}
// A post that a step needs as its subject; said like any other, because the network accepted it.
async function newPost() {
  const post = await STEPS.post()
  say({ did: 'post', ...post })
  return post
}
// What later steps answer to: a given post, else the first of this run, else a new one.
async function target() {
  if (args.parent) {
    const { data } = await agent.getPosts({ uris: [args.parent] })
    const [post] = data.posts
    if (!post) throw new Error(`the AppView does not know ${args.parent} yet`)
    return { uri: post.uri, cid: post.cid, root: post.record.reply?.root }
  }
  return created.find((item) => item.did === 'post') ?? newPost()
}
// The AppView follows the data server by a moment; reads of what was just written are asked again until it is there.
async function until(read, holds) {
  const end = Date.now() + 5_000
  for (;;) {
    const answer = await read()
    if (holds(answer) || Date.now() > end) return answer
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
}

const STEPS = {
  async profile() {
    const description = texted('Advises on pensions.')
    await agent.upsertProfile((profile) => ({ ...profile, displayName: `Advisor ${args.tag}`, description }))
    return { text: description }
  },
  async post() {
    const rich = new RichText({ text: texted('Markets are calm today, see https://example.com/calm #markets') })
    rich.detectFacetsWithoutResolution()
    const post = { text: rich.text, facets: rich.facets, langs: ['en'], createdAt: new Date().toISOString() }
    return note('post', await agent.post(post), { text: rich.text, facets: rich.facets?.length ?? 0 })
  },
  async reply() {
    const parent = await target()
    const text = texted('Thanks for asking, write to me')
    const root = parent.root ?? { uri: parent.uri, cid: parent.cid }
    const reply = { root, parent: { uri: parent.uri, cid: parent.cid } }
    return note('reply', await agent.post({ text, reply }), { text, parent: parent.uri })
  },
  async like() {
    const { uri, cid } = await target()
    return note('like', await agent.like(uri, cid), { subject: uri })
  },
  async repost() {
    const { uri, cid } = await target()
    return note('repost', await agent.repost(uri, cid), { subject: uri })
  },
  async follow() {
    if (!args.other) return { skipped: 'no --other given' }
    const { data } = await agent.resolveHandle({ handle: args.other })
    return note('follow', await agent.follow(data.did), { subject: data.did })
  },
  async quote() {
    const { uri, cid } = await target()
    const text = texted('Worth reading again')
    const embed = { $type: 'app.bsky.embed.record', record: { uri, cid } }
    return note('quote', await agent.post({ text, embed }), { text, subject: uri })
  },
  async image() {
    const { data } = await agent.uploadBlob(PNG, { encoding: 'image/png' })
    const text = texted('The chart')
    const embed = { $type: 'app.bsky.embed.images', images: [{ alt: 'a chart', image: data.blob }] }
    return note('image', await agent.post({ text, embed }), { text, blob: data.blob.ref.toString() })
  },
  async batch() {
    const texts = [texted('First of a thread'), texted('Second of a thread')]
    const { data } = await agent.com.atproto.repo.applyWrites({
      repo: agent.assertDid,
      writes: texts.map((text) => ({
        $type: 'com.atproto.repo.applyWrites#create', collection: 'app.bsky.feed.post',
        value: { $type: 'app.bsky.feed.post', text, createdAt: new Date().toISOString() },
      })),
    })
    return { items: data.results.map((item, i) => note('batch', item, { text: texts[i] })) }
  },
  async edit() {
    const text = texted('A corrected post')
    const { uri } = await newPost()
    const record = { $type: 'app.bsky.feed.post', text, createdAt: new Date().toISOString() }
    const { data } = await agent.com.atproto.repo.putRecord({ ...parts(uri), record })
    return note('edit', data, { text })
  },
  async delete() {
    const { uri } = await newPost()
    await agent.deletePost(uri)
    return { uri }
  },
  async thread() {
    const { uri } = await target()
    const { data } = await until(() => agent.getPostThread({ uri }).catch((error) => ({ data: { error } })), ({ data }) => data.thread)
    if (!data.thread) throw data.error
    const replies = (data.thread.replies ?? []).map(({ post }) => ({ uri: post.uri, author: post.author.handle, text: post.record.text }))
    return { uri, replies }
  },
  async timeline() {
    const { data } = await until(() => agent.getTimeline({ limit: 50 }), ({ data }) => data.feed.length > 0)
    return { items: data.feed.map(({ post }) => ({ uri: post.uri, author: post.author.handle, text: post.record.text })) }
  },
  async notifications() {
    const { data } = await agent.listNotifications({ limit: 50 })
    const items = data.notifications.map(({ uri, reason, author, record }) => ({ uri, reason, author: author.handle, text: record.text }))
    return { items }
  },
  async feed() {
    const { data } = await agent.getAuthorFeed({ actor: agent.assertDid, limit: 50 })
    return { items: data.feed.map(({ post }) => ({ uri: post.uri, text: post.record.text })) }
  },
  async dm() {
    if (!args.other) return { skipped: 'no --other given' }
    const { data: them } = await agent.resolveHandle({ handle: args.other })
    const { data: { convo } } = await chat.chat.bsky.convo.getConvoForMembers({ members: [them.did] })
    const text = texted('In confidence')
    const { data } = await chat.chat.bsky.convo.sendMessage({ convoId: convo.id, message: { text } })
    const { data: seen } = await chat.chat.bsky.convo.getMessages({ convoId: convo.id })
    Object.assign(conversation, { convoId: convo.id, messageId: data.id })
    return { convo: convo.id, id: data.id, text, messages: seen.messages.map(({ id, text, sender }) => ({ id, text, sender: sender.did })) }
  },
  async dmreact() {
    if (!conversation.convoId) return { skipped: 'no message was sent' }
    await chat.chat.bsky.convo.addReaction({ ...conversation, value: '👍' })
    return { convo: conversation.convoId, id: conversation.messageId }
  },
}

let failed = false
async function run(did, act) {
  try {
    const result = await within(STEP_LIMIT_MS, did, act())
    say({ did, ...result })
  } catch (error) {
    failed = true
    const cause = error?.cause?.message
    say({ did, error: String(error?.message ?? error), ...(error?.status && { status: error.status }), ...(cause && { cause }) })
    if (!args['keep-going']) process.exit(1)
  }
}

await run(args.create ? 'create' : 'login', async () => {
  if (args.create) {
    const email = `${args.handle.replaceAll('.', '-')}@example.test`
    await agent.createAccount({ handle: args.handle, password: args.password, email })
  } else {
    await agent.login({ identifier: args.handle, password: args.password })
  }
  return { account: agent.assertDid, handle: args.handle, service: agent.serviceUrl.href, pds: agent.dispatchUrl.href }
})
for (const step of args.steps.split(',').filter(Boolean)) {
  const [name, count] = step.split(':')
  if (name === 'posts') {
    for (let i = 0; i < Number(count); i++) {
      const text = `${args.tag} ${i}`
      await run('post', async () => note('post', await agent.post({ text }), { text }))
    }
  } else if (Object.hasOwn(STEPS, name)) {
    await run(name, STEPS[name])
  } else {
    process.stderr.write(`no such step: ${name}\n${USAGE}`)
    process.exit(2)
  }
}
process.exit(failed ? 1 : 0)
