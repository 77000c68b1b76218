// How every launcher here lives and dies: it prints one JSON line when it is up, and it stops on SIGTERM, on SIGINT
// and when its standard input closes, so that a test that was killed leaves no server behind.
//
// Invariant: nothing but JSON lines is ever written to standard output; everything else goes to standard error.

import { parseArgs } from 'node:util'

const STOP_LIMIT_MS = 10_000

/** Parses `--name value` arguments; `spec` is that of node:util's parseArgs. Exits with the message on bad usage. */
export function options(spec, usage) {
  try {
    const { values } = parseArgs({ options: { ...spec, help: { type: 'boolean' } }, strict: true })
    if (values.help) {
      process.stderr.write(usage)
      process.exit(0)
    }
    return values
  } catch (error) {
    process.stderr.write(`${error.message}\n${usage}`)
    process.exit(2)
  }
}

/** Writes one JSON line to standard output. */
export function say(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

/** Rejects when `promise` has not settled within `ms`. */
export function within(ms, what, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/**
 * Starts what `start(later)` starts, says that it is ready, and stops it when asked.
 *
 * `start` registers each thing to undo with `later(fn)`; they are undone in reverse order, each at most once, also
 * when starting fails half-way. `keep` leaves a closed standard input unheeded, for use by hand in the background.
 */
export async function live({ limitMs, keep = false }, start) {
  const undo = []
  let stopping
  const stop = (code) => {
    stopping ??= (async () => {
      setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref()
      for (const fn of undo.reverse()) {
        try {
          await fn()
        } catch (error) {
          process.stderr.write(`while stopping: ${error?.stack ?? error}\n`)
        }
      }
      process.exit(code)
    })()
    return stopping
  }
  process.on('SIGTERM', () => stop(0))
  process.on('SIGINT', () => stop(0))
  if (!keep) {
    process.stdin.on('end', () => stop(0))
    process.stdin.on('error', () => stop(0))
    process.stdin.resume()
  }
  try {
    const ready = await within(limitMs, 'starting', start((fn) => undo.push(fn)))
    say({ ready: true, pid: process.pid, ...ready })
  } catch (error) {
    process.stderr.write(`${error?.stack ?? error}\n`)
    say({ ready: false, error: String(error?.message ?? error) })
    await stop(1)
  }
}
