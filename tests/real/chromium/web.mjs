// A person at a web client: headless Chromium opens the Mastodon server's own web client through the proxy, signs in,
// and posts with the keyboard and the mouse; one JSON line for each thing done, with what the server answered.
//
// The firm's root is trusted through a certificate store in a home directory of its own, made for this run and removed
// after it. Proxy and credentials come from HTTPS_PROXY=http://device:secret@127.0.0.1:PORT or `--proxy`.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { options, say, within } from '../lib/life.mjs'

const USAGE = `usage: web.mjs --ca FILE --token TOKEN [--proxy URL] [--service https://masto.test] [--tag TAG]
               [--other @NAME] [--screenshot FILE.png] [--resolve HOST=ADDRESS:PORT]... [--keep-going] [--steps a,b,...]
steps: post reply direct edit favourite boost live delete; the default is all of them
`
const ALL = 'post,reply,direct,edit,favourite,boost,live,delete'
const STEP_LIMIT_MS = 30_000
const RUN_LIMIT_MS = 180_000
// Chromium calls home at every start; a test has nothing to answer it with.
const QUIET = [
  '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--disable-default-apps', '--disable-domain-reliability', '--disable-client-side-phishing-detection',
  '--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication,CertificateTransparencyComponentUpdater',
  '--metrics-recording-only', '--no-pings', '--disable-gpu', '--disable-dev-shm-usage',
]
// What it calls all the same is kept off the proxy, and is found nowhere.
const ELSEWHERE = ['*.google.com', '*.googleapis.com', '*.gstatic.com', '*.gvt1.com']

const args = options({
  ca: { type: 'string' }, token: { type: 'string' }, proxy: { type: 'string', default: process.env.HTTPS_PROXY ?? '' },
  service: { type: 'string', default: 'https://masto.test' }, tag: { type: 'string', default: Date.now().toString(36) },
  other: { type: 'string' }, screenshot: { type: 'string' }, resolve: { type: 'string', multiple: true, default: [] },
  'keep-going': { type: 'boolean', default: false }, steps: { type: 'string', default: ALL },
}, USAGE)
const steps = args.steps.split(',').filter(Boolean)
const unknown = steps.find((step) => !ALL.split(',').includes(step))
if (!args.ca || !args.token || unknown) {
  process.stderr.write(unknown ? `no such step: ${unknown}\n${USAGE}` : USAGE)
  process.exit(2)
}

function browserPath() {
  const names = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
  const found = [process.env.CHROMIUM, ...names].find((name) => name && existsSync(name))
  if (!found) throw new Error('no chromium found: install the package chromium or set CHROMIUM')
  return found
}

// A home directory whose certificate store trusts the given root for servers, and nothing else.
function homeThatTrusts(ca, home) {
  const store = join(home, '.pki', 'nssdb')
  mkdirSync(store, { recursive: true })
  const certutil = (...rest) => execFileSync('certutil', ['-d', `sql:${store}`, ...rest], { stdio: ['ignore', 'ignore', 'inherit'], timeout: 30_000 })
  certutil('-N', '--empty-password')
  certutil('-A', '-t', 'C,,', '-n', 'firm', '-i', ca)
}

function throughProxy(url) {
  if (!url) return undefined
  const { protocol, host, username, password } = new URL(url)
  return { server: `${protocol}//${host}`, username: decodeURIComponent(username), password: decodeURIComponent(password), bypass: ELSEWHERE.join(',') }
}

const home = mkdtempSync(join(tmpdir(), 'browser-'))
let browser
let code = 0
const texted = (what) => `${what} ${args.tag} — žluťoučký kůň, 東京 🚀`

async function main() {
  homeThatTrusts(args.ca, home)
  const rules = [...args.resolve.map((entry) => `MAP ${entry.replace('=', ' ')}`), ...ELSEWHERE.map((name) => `MAP ${name} ~NOTFOUND`)]
  browser = await chromium.launch({
    executablePath: browserPath(),
    args: [...QUIET, ...(process.getuid() === 0 ? ['--no-sandbox'] : []), `--host-resolver-rules=${rules.join(',')}`],
    proxy: throughProxy(args.proxy),
    env: { ...process.env, HOME: home, HTTPS_PROXY: '' },
    timeout: STEP_LIMIT_MS,
  })
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } })
  page.setDefaultTimeout(STEP_LIMIT_MS)
  page.on('dialog', (dialog) => dialog.accept())

  const post = () => page.locator('article').filter({ hasText: args.tag }).last()
  // Does something on the page and waits for the answer to the request that it causes.
  const answer = async (method, path, act) => {
    const answered = page.waitForResponse((response) => response.request().method() === method && path.test(new URL(response.url()).pathname))
    await act()
    const response = await answered
    if (!response.ok()) throw Object.assign(new Error(`the server answered ${response.status()}`), { status: response.status() })
    return response
  }
  const written = async (response, text) => {
    const { id, uri, visibility } = await response.json()
    return { id, uri, visibility, text }
  }
  const compose = async (text) => {
    const box = page.getByRole('textbox', { name: 'What is happening?' })
    await box.fill(text)
    const response = await answer('POST', /^\/api\/v1\/statuses$/, () => page.getByRole('button', { name: 'Post', exact: true }).click())
    return written(response, text)
  }
  const act = {
    async login() {
      await page.goto(`${args.service}/_ui/`)
      await page.getByPlaceholder('access token').fill(args.token)
      const response = await answer('GET', /verify_credentials$/, () => page.getByRole('button', { name: 'Sign in', exact: true }).click())
      await page.getByRole('textbox', { name: 'What is happening?' }).waitFor()
      const { securityDetails, protocol } = { securityDetails: await response.securityDetails(), protocol: await negotiated(page) }
      return { account: (await response.json()).acct, issuer: securityDetails?.issuer, subject: securityDetails?.subjectName, protocol }
    },
    post: () => compose(texted('Markets are calm today')),
    async reply() {
      const text = texted('Thanks for asking')
      const article = post()
      await article.getByRole('button', { name: /^💬 \d/ }).click()
      await article.getByRole('textbox', { name: 'Post your reply' }).fill(text)
      const response = await answer('POST', /^\/api\/v1\/statuses$/, () => article.getByRole('button', { name: 'Reply', exact: true }).first().click())
      return { ...await written(response, text), parent: (await response.json()).in_reply_to_id }
    },
    async direct() {
      if (!args.other) return { skipped: 'no --other given' }
      await page.getByRole('combobox', { name: 'Visibility' }).first().selectOption('direct')
      try {
        return await compose(`${args.other} ${texted('In confidence')}`)
      } finally {
        await page.getByRole('combobox', { name: 'Visibility' }).first().selectOption('public')
      }
    },
    async edit() {
      const text = texted('A corrected post')
      const article = post()
      await article.getByRole('button', { name: '✏️' }).click()
      // The text is now in a box, and the article no longer says it.
      const editor = page.locator('article').filter({ has: page.getByRole('button', { name: 'Save' }) })
      await editor.getByRole('textbox').first().fill(text)
      const response = await answer('PUT', /^\/api\/v1\/statuses\/\d+$/, () => editor.getByRole('button', { name: 'Save' }).click())
      return written(response, text)
    },
    async favourite() {
      const response = await answer('POST', /\/favourite$/, () => post().getByRole('button', { name: '⭐' }).click())
      return { id: (await response.json()).id }
    },
    async boost() {
      const response = await answer('POST', /\/reblog$/, () => post().getByRole('button', { name: '🔁' }).click())
      const kept = await response.json()
      return { id: kept.id, subject: kept.reblog?.id }
    },
    async live() {
      const response = await answer('GET', /\/streaming/, () => page.getByRole('button', { name: 'Go live' }).click())
      return { type: response.headers()['content-type'] }
    },
    async delete() {
      const response = await answer('DELETE', /^\/api\/v1\/statuses\/\d+$/, () => post().getByRole('button', { name: '🗑️' }).click())
      return { id: new URL(response.url()).pathname.split('/').at(-1) }
    },
  }

  for (const did of ['login', ...steps]) {
    try {
      say({ did, ...await within(STEP_LIMIT_MS + 5_000, did, act[did]()) })
    } catch (error) {
      code = 1
      say({ did, error: String(error?.message ?? error).split('\n')[0], ...(error?.status && { status: error.status }) })
      if (!args['keep-going'] || did === 'login') break
    }
  }
  if (args.screenshot) {
    await page.screenshot({ path: args.screenshot })
    say({ did: 'screenshot', file: args.screenshot })
  }
}

// The protocol that the page itself came by: h2 or http/1.1.
function negotiated(page) {
  return page.evaluate(() => performance.getEntriesByType('navigation')[0]?.nextHopProtocol)
}

async function end() {
  await within(10_000, 'closing the browser', browser?.close() ?? Promise.resolve()).catch(() => {})
  rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  process.exit(code)
}
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    code = 1
    end()
  })
}
await within(RUN_LIMIT_MS, 'the whole run', main()).catch((error) => {
  code = 1
  say({ did: 'run', error: String(error?.message ?? error) })
})
await end()
