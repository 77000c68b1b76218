//! Whether what was typed can be meant: ranges, and keys that must fit together. Each refusal names the key and what would be right.

use std::net::SocketAddr;
use std::time::Duration;

use super::SettingsError;
use super::load::Typed;

/// A C2SP origin is also the key name of a signed note: one word, no plus sign.
pub(super) fn origin(typed: &Typed) -> Result<(), SettingsError> {
    let origin = &typed.file.firm.log_origin;
    let sound = !origin.is_empty() && origin.len() <= 200 && origin.bytes().all(|b| b.is_ascii_graphic() && b != b'+');
    if sound && !origin.contains("://") {
        return Ok(());
    }
    Err(typed
        .wrong(&["firm", "log_origin"], "write a host and a path without scheme, such as archive.firm.example/ledger"))
}

pub(super) fn limits(typed: &Typed) -> Result<(), SettingsError> {
    let (file, limits) = (&typed.file, &typed.file.proxy.limits);
    let second = Duration::from_secs(1);
    let counts: &[(&[&str], u64, u64, u64)] = &[
        (&["proxy", "limits", "connections"], limits.connections.into(), 1, 1_000_000),
        (&["proxy", "limits", "head"], limits.head.0, 4 << 10, 1 << 20),
        (&["proxy", "limits", "body_memory"], limits.body_memory.0, 4 << 10, 64 << 20),
        (&["proxy", "limits", "body"], limits.body.0, limits.body_memory.0, 1 << 40),
        // Room for one body at least, and for what the sealing adds to it.
        (&["proxy", "limits", "held_disk"], limits.held_disk.0, least_disk(limits.body.0), 1 << 50),
        (&["proxy", "limits", "held_memory"], limits.held_memory.0, limits.body_memory.0, 1 << 40),
        (&["proxy", "limits", "read"], limits.read.0, 64 << 10, 1 << 32),
        (&["proxy", "limits", "query"], limits.query.0, 4 << 10, 64 << 20),
        (&["proxy", "limits", "answer"], limits.answer.0, 4 << 10, 64 << 20),
        (&["api", "requests"], file.api.requests.into(), 1, 100_000),
        (&["webhooks", "attempts"], file.webhooks.attempts.into(), 1, 30),
        (&["recognition", "workers"], file.recognition.workers.into(), 0, 256),
        (&["recognition", "memory"], file.recognition.memory.0, 64 << 20, 1 << 40),
        (&["witnesses"], file.witnesses.len() as u64, 0, 32),
        (&["archive", "connections"], file.archive.connections.into(), 2, 1_000),
        (&["archive", "spool"], file.archive.spool.0, 1 << 20, 1 << 50),
    ];
    for (key, value, least, most) in counts {
        if !(least..=most).contains(&value) {
            return Err(typed.wrong(key, range(key, *least, *most)));
        }
    }
    let spans: &[(&[&str], Duration, Duration)] = &[
        (&["proxy", "limits", "head_timeout"], limits.head_timeout.0, second),
        (&["proxy", "limits", "idle_timeout"], limits.idle_timeout.0, second),
        (&["api", "timeout"], file.api.timeout.0, second),
        (&["api", "token_lifetime"], file.api.token_lifetime.0, Duration::from_secs(60)),
        (&["webhooks", "timeout"], file.webhooks.timeout.0, second),
        (&["webhooks", "first_pause"], file.webhooks.first_pause.0, Duration::from_millis(100)),
        (&["webhooks", "longest_pause"], file.webhooks.longest_pause.0, file.webhooks.first_pause.0),
        (&["webhooks", "disable_after"], file.webhooks.disable_after.0, Duration::from_secs(60)),
        (&["upstream", "connect_timeout"], file.upstream.connect_timeout.0, second),
        (&["recognition", "run_timeout"], file.recognition.run_timeout.0, Duration::from_millis(50)),
        (&["archive", "append_timeout"], file.archive.append_timeout.0, second),
        (&["archive", "checkpoint_every"], file.archive.checkpoint_every.0, Duration::from_millis(100)),
        (&["witnessing", "every"], file.witnessing.every.0, second),
        (&["verification", "every"], file.verification.every.0, Duration::from_secs(60)),
    ];
    for (key, value, least) in spans {
        if value < least {
            return Err(typed.wrong(key, format!("at least \"{}\"", super::Span(*least))));
        }
    }
    Ok(())
}

/// A body on disk, with a tag for every 256 KiB chunk at most; in whole MiB, which an operator can write.
const fn least_disk(body: u64) -> u64 {
    body.saturating_add((body >> 10) + (1 << 20)) >> 20 << 20
}

/// Sizes are shown as sizes, counts as counts.
fn range(key: &[&str], least: u64, most: u64) -> String {
    match key.last() {
        Some(
            &("head" | "body_memory" | "body" | "held_disk" | "held_memory" | "read" | "query" | "answer" | "memory"
            | "spool"),
        ) => {
            format!("between \"{}\" and \"{}\"", super::Size(least), super::Size(most))
        }
        _ => format!("between {least} and {most}"),
    }
}

pub(super) fn listeners(typed: &Typed) -> Result<(), SettingsError> {
    let clash = |a: SocketAddr, b: SocketAddr| a.port() != 0 && a == b;
    let file = &typed.file;
    if clash(file.proxy.listen, file.api.listen) {
        return Err(typed.wrong(&["api", "listen"], "is the address of proxy.listen too; take another port"));
    }
    if let Some(tls) = &file.proxy.tls
        && (clash(tls.listen, file.proxy.listen) || clash(tls.listen, file.api.listen))
    {
        return Err(typed.wrong(&["proxy", "tls", "listen"], "is taken by another listener; take another port"));
    }
    Ok(())
}
