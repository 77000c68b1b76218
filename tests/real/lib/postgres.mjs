// A throw-away Postgres on a unix socket for a server that wants one. It never outlives the process that asked for it:
// a shell in between waits for our end of a pipe to close, which also happens when we are killed.

import { execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const READY_LIMIT_MS = 30_000

/** Where the server's binaries are: `$PG_BINDIR`, Debian's place, Homebrew's, then PATH. */
export function bindir() {
  const places = [process.env.PG_BINDIR]
  for (const base of ['/usr/lib/postgresql', '/opt/homebrew/opt']) {
    const versions = existsSync(base) ? readdirSync(base).filter((name) => /^(postgresql@)?\d+$/.test(name)) : []
    places.push(...versions.sort().reverse().map((name) => join(base, name, 'bin')))
  }
  places.push(...(process.env.PATH ?? '').split(':'))
  const found = places.find((place) => place && existsSync(join(place, 'initdb')) && existsSync(join(place, 'postgres')))
  if (!found) throw new Error('no postgres server found: install the package postgresql or set PG_BINDIR')
  return found
}

// The server refuses to run as root, so root hands it to an unprivileged user that exists.
function unprivileged() {
  if (process.getuid() !== 0) return {}
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag) => Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }))
      return { uid: id('-u'), gid: id('-g') }
    } catch {
      // The next name may exist.
    }
  }
  throw new Error('running as root, and neither the user postgres nor nobody exists')
}

/** Starts a server below `scratch` and returns its connection URL. `later` receives what stops it. */
export async function startPostgres(scratch, later) {
  const bin = bindir()
  const owner = unprivileged()
  const home = join(scratch, 'pg')
  const data = join(home, 'data')
  mkdirSync(home, { mode: 0o700 })
  if (owner.uid !== undefined) chownSync(home, owner.uid, owner.gid)
  const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8', HOME: home }
  execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'bsky', '-A', 'trust', '-E', 'UTF8', '--no-sync'], {
    ...owner, env, cwd: home, stdio: ['ignore', 'ignore', 'inherit'], timeout: READY_LIMIT_MS,
  })
  const settings = [
    'listen_addresses=', `unix_socket_directories=${home}`, 'fsync=off', 'synchronous_commit=off',
    'full_page_writes=off', 'shared_buffers=64MB', 'max_connections=60', 'log_min_messages=fatal',
  ].flatMap((setting) => ['-c', setting])
  const watch = '"$@" </dev/null >&2 & server=$!; while read -r _; do :; done; kill -INT $server; wait $server'
  const child = spawn('/bin/sh', ['-c', watch, 'sh', join(bin, 'postgres'), '-D', data, ...settings], {
    ...owner, env, cwd: home, stdio: ['pipe', 'ignore', 'inherit'],
  })
  const gone = new Promise((resolve) => child.once('exit', resolve))
  later(async () => {
    child.stdin.end()
    await gone
  })
  const query = (database, sql) => execFileSync(join(bin, 'psql'), ['-h', home, '-U', 'bsky', '-d', database, '-qXc', sql], {
    env, cwd: home, stdio: 'ignore', timeout: READY_LIMIT_MS,
  })
  const end = Date.now() + READY_LIMIT_MS
  for (;;) {
    try {
      query('template1', 'select 1')
      break
    } catch (error) {
      if (Date.now() > end || child.exitCode !== null) throw new Error('postgres did not start', { cause: error })
      await sleep(50)
    }
  }
  query('template1', 'create database bsky')
  return `postgresql://bsky@${encodeURIComponent(home)}/bsky`
}
