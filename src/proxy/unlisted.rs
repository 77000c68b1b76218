//! Asks unlisted hosts whether they are social servers, so that a gap in what is listed is on record.
//!
//! A host that devices tunnel to is asked for its public `/.well-known/nodeinfo`, which servers of the Fediverse publish: by the service itself, in
//! its own name, through the same dialler and the same rules about addresses as any tunnel. Invariants: each host is asked once a day at most, one
//! host at a time, with bounds on time and bytes; no redirect is followed and nothing else is asked for; nothing of a device's traffic is looked at,
//! and the host is not decrypted. A host that says it is one becomes a gap (`unlisted_social_host`), once a day for each device that went there.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::device::Device;
use super::http::conn::{Conn, Frame};
use super::http::message::Answered;
use super::shared::Shared;
use super::upstream::{Offer, Speak};
use crate::capture::{Gap, GapCause};
use crate::exchange::Authority;
use crate::record::DeviceId;

/// A host is asked again after this.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// From the first byte sent to the last one read, where `proxy.limits.head_timeout` is no less.
const TIME: Duration = Duration::from_secs(10);
/// Largest head and largest body of an answer. Real ones have a few hundred bytes.
const HEAD: usize = 16 * 1024;
const BODY: usize = 64 * 1024;
/// Hosts that wait to be asked; more are asked another time.
const WAITING: usize = 64;
/// Hosts that are remembered.
const HOSTS: usize = 8192;
/// Devices told apart for one host.
const DEVICES: usize = 1024;
/// What nodeinfo 1.0, 1.1, 2.0 and 2.1 have in common (nodeinfo.diaspora.software, "Discovery").
const SCHEMA: &str = "nodeinfo.diaspora.software/ns/schema/";

/// What a host said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It has not been asked yet.
    Asking,
    /// It is a social server.
    Social,
    /// It is none, or did not say.
    Silent,
}

#[derive(Debug)]
struct Remembered {
    since: Instant,
    verdict: Verdict,
    /// Who went there: told apart, so that each is one gap a day. Nobody, where there is none to note.
    devices: BTreeMap<DeviceId, Device>,
}

/// Which hosts have been asked.
pub(crate) struct Unlisted {
    hosts: Mutex<HashMap<String, Remembered>>,
    ask: mpsc::Sender<Authority>,
}

impl Unlisted {
    /// With what [`run`] takes the questions from.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Authority>) {
        let (ask, asked) = mpsc::channel(WAITING);
        (Self { hosts: Mutex::default(), ask }, asked)
    }

    /// A device opened a tunnel to a host that is not listed. Never blocks. The gap, where the host is known to be a social server.
    pub(crate) fn seen(&self, authority: &Authority, device: Device) -> Option<Gap> {
        // Where HTTPS is; and a server that has no name has no nodeinfo.
        if authority.port() != 443 || authority.ip().is_some() {
            return None;
        }
        let now = Instant::now();
        let mut hosts = self.hosts.lock();
        if let Some(known) = hosts.get_mut(authority.host())
            && now.duration_since(known.since) < DAY
        {
            let is_new = known.verdict != Verdict::Silent
                && known.devices.len() < DEVICES
                && known.devices.insert(device.id, device).is_none();
            return (is_new && known.verdict == Verdict::Social).then(|| social(device, authority));
        }
        if hosts.len() >= HOSTS {
            hosts.retain(|_host, known| now.duration_since(known.since) < DAY);
        }
        // A full table or a full queue: another tunnel to the host will come.
        if hosts.len() < HOSTS && self.ask.try_send(authority.clone()).is_ok() {
            let devices = BTreeMap::from([(device.id, device)]);
            let asking = Remembered { since: now, verdict: Verdict::Asking, devices };
            hosts.insert(authority.host().to_owned(), asking);
        }
        None
    }

    /// Takes an answer down; those whose gap it makes.
    fn answered(&self, authority: &Authority, is_social: bool) -> Vec<Device> {
        let mut hosts = self.hosts.lock();
        let Some(known) = hosts.get_mut(authority.host()) else { return Vec::new() };
        if is_social {
            known.verdict = Verdict::Social;
            return known.devices.values().copied().collect();
        }
        known.verdict = Verdict::Silent;
        known.devices = BTreeMap::new();
        Vec::new()
    }
}

fn social(device: Device, authority: &Authority) -> Gap {
    device.gap(GapCause::UnlistedSocialHost, authority)
}

/// Asks one host after the other, until the proxy stops.
pub(crate) async fn run(shared: Arc<Shared>, mut asked: mpsc::Receiver<Authority>) {
    let Some(unlisted) = &shared.unlisted else { return };
    loop {
        let next = tokio::select! {
            next = asked.recv() => next,
            () = shared.stop.cancelled() => return,
        };
        let Some(authority) = next else { return };
        let is_social = tokio::select! {
            is_social = ask(&shared, &authority) => is_social,
            () = shared.stop.cancelled() => return,
        };
        shared.metrics.unlisted_asked(if is_social { "social" } else { "silent" });
        for device in unlisted.answered(&authority, is_social) {
            shared.recorder.gap(social(device, &authority));
        }
    }
}

/// Whether a host says that it is a social server. Whoever it is has to prove it, as to any device.
async fn ask(shared: &Shared, authority: &Authority) -> bool {
    let Ok(dialled) = shared.dialler.dial(authority, Speak::Tls(Offer::Http1)).await else { return false };
    let conn = Conn::new(dialled.io, BytesMut::new()).limited(HEAD.min(shared.limits.head));
    matches!(timeout(TIME.min(shared.limits.head_timeout), read_answer(conn, authority)).await, Ok(Some(body)) if says_social(&body))
}

async fn read_answer(mut conn: Conn, authority: &Authority) -> Option<Vec<u8>> {
    conn.head_queue().extend_from_slice(
        format!(
            "GET /.well-known/nodeinfo HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n\
             User-Agent: muniment\r\nConnection: close\r\n\r\n",
            authority.host()
        )
        .as_bytes(),
    );
    poll_fn(|cx| conn.poll_flush(cx)).await.ok()?;
    let answer = loop {
        let start = poll_fn(|cx| conn.poll_response(cx, &Method::GET)).await.ok()??;
        // RFC 9110 §15.2: any number of interim answers may come first. The time for all of them is bounded.
        if !start.status.is_informational() {
            break Answered::from_http1(start);
        }
        if start.status == StatusCode::SWITCHING_PROTOCOLS {
            return None;
        }
    };
    // No redirect is followed: where it leads may be anywhere, and a server answers under its own name.
    let plain =
        answer.fields.as_ref().get("content-encoding").is_none_or(|coding| coding.eq_ignore_ascii_case(b"identity"));
    if answer.status != StatusCode::OK || !plain {
        return None;
    }
    let mut body = Vec::new();
    while let Some(frame) = poll_fn(|cx| conn.poll_frame(cx)).await.ok()? {
        let Frame::Data(data) = frame else { continue };
        if body.len() + data.len() > BODY {
            return None;
        }
        body.extend_from_slice(&data);
    }
    Some(body)
}

#[derive(Deserialize)]
struct Discovery {
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    rel: String,
}

/// A nodeinfo discovery document (RFC 7033 calls its form JRD) that names a schema.
fn says_social(body: &[u8]) -> bool {
    let discovery = serde_json::from_slice::<Discovery>(body);
    discovery.is_ok_and(|discovery| {
        discovery.links.iter().any(|link| {
            let rel = link.rel.strip_prefix("http://").or_else(|| link.rel.strip_prefix("https://"));
            rel.is_some_and(|rel| rel.starts_with(SCHEMA))
        })
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::record::AdvisorId;

    fn device(number: u128) -> Device {
        Device { id: DeviceId::new(Uuid::from_u128(number)), advisor: AdvisorId::new(Uuid::nil()) }
    }

    fn host(text: &str) -> Authority {
        text.parse().unwrap()
    }

    #[test]
    fn only_a_discovery_document_of_nodeinfo_says_social() {
        assert!(says_social(
            br#"{"links":[{"rel":"http://nodeinfo.diaspora.software/ns/schema/2.0","href":"https://a/b"}]}"#
        ));
        for other in [
            &br#"{"links":[{"rel":"self","href":"x"}]}"#[..],
            br#"{"links":[]}"#,
            br#"{"links":"http://nodeinfo.diaspora.software/ns/schema/2.0"}"#,
            b"<html>http://nodeinfo.diaspora.software/ns/schema/2.0</html>",
            b"",
        ] {
            assert!(!says_social(other), "{}", String::from_utf8_lossy(other));
        }
        assert!(!says_social("[".repeat(BODY).as_bytes()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_asked_once_a_day_and_each_device_is_one_gap_a_day() {
        let (unlisted, mut asked) = Unlisted::new();
        let social = host("social.test:443");
        for number in [1, 1, 2] {
            assert!(unlisted.seen(&social, device(number)).is_none());
        }
        assert_eq!(asked.recv().await, Some(social.clone()));
        assert!(asked.try_recv().is_err());
        assert_eq!(unlisted.answered(&social, true), [device(1), device(2)]);
        assert!(unlisted.seen(&social, device(1)).is_none());
        assert_eq!(unlisted.seen(&social, device(3)).map(|gap| gap.device), Some(Some(device(3).id)));
        tokio::time::advance(DAY).await;
        assert!(unlisted.seen(&social, device(1)).is_none());
        assert_eq!(asked.recv().await, Some(social.clone()));
        assert!(unlisted.answered(&social, false).is_empty());
        assert!(unlisted.seen(&social, device(4)).is_none());
        assert!(unlisted.hosts.lock()[social.host()].devices.is_empty(), "of a silent host nobody is remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_and_other_ports_are_not_asked_and_ever_new_hosts_do_not_pile_up() {
        let (unlisted, mut asked) = Unlisted::new();
        for other in ["192.0.2.1:443", "[2001:db8::1]:443", "social.test:8443"] {
            assert!(unlisted.seen(&host(other), device(1)).is_none());
        }
        assert!(asked.try_recv().is_err());
        for number in 0..1000 {
            unlisted.seen(&host(&format!("host-{number}.test:443")), device(1));
        }
        assert_eq!(unlisted.hosts.lock().len(), WAITING, "one that was not asked is not taken for one that was");
        for number in 0..20_000 {
            unlisted.seen(&host(&format!("other-{number}.test:443")), device(1));
            drop(asked.try_recv());
        }
        assert_eq!(unlisted.hosts.lock().len(), HOSTS);
    }
}
