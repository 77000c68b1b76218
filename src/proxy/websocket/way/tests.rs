//! One direction under scripts of frames, whole and hostile, in any rhythm.

use std::future::poll_fn;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Version};
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use super::*;
use crate::capture::{Gap, Receipt, Recorder, RefusalReason};
use crate::exchange::{Authority, Connection, Exchange, Protocol, RequestHead, Scheme};
use crate::proxy::http::held::Scratch;
use crate::recognize::Plan;
use crate::record::{AdvisorId, Clock, DeviceId, ExchangeId, Timestamp};

#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<Vec<u8>>>,
    gaps: Mutex<Vec<(GapCause, u64)>>,
    refuses: Option<&'static [u8]>,
    /// What others hold in memory.
    others: usize,
}

impl Recorder for Ear {
    fn plan(&self, _connection: &Connection, _head: &RequestHead) -> Plan {
        Plan::Forward
    }

    fn write(&self, _exchange: Exchange) -> BoxFuture<'_, Result<Receipt, Refusal>> {
        Box::pin(async { Ok(Receipt::nothing()) })
    }

    fn observe(&self, _exchange: Exchange) {}

    fn message<'a>(
        &'a self,
        _connection: &'a Arc<Connection>,
        _head: &'a RequestHead,
        message: Message,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            // A verdict takes its time.
            tokio::task::yield_now().await;
            let refused = self.refuses == Some(&message.data.0[..]);
            self.heard.lock().push(message.data.0.to_vec());
            if refused { Err(Refusal::new(RefusalReason::Rejected, "a test says so")) } else { Ok(()) }
        })
    }

    fn gap(&self, gap: Gap) {
        self.gaps.lock().push((gap.cause, gap.count));
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }
}

/// Sends parts one way to their end: what came out, and how it ended.
async fn relay(ear: &Ear, sender: Sender, care: Care, parts: Vec<Vec<u8>>) -> (Vec<u8>, Result<(), Stuck>) {
    let authority: Authority = "social.test:443".parse().unwrap();
    let connection = Arc::new(Connection {
        device: DeviceId::new(Uuid::nil()),
        advisor: AdvisorId::new(Uuid::nil()),
        device_address: "127.0.0.1:1".parse().unwrap(),
        authority: authority.clone(),
        protocol: Protocol::Http1,
        upstream: None,
    });
    let head = RequestHead {
        method: Method::GET,
        scheme: Scheme::Https,
        authority,
        target: "/".to_owned(),
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
    };
    let exchange = ExchangeId::new(Uuid::nil());
    let listener = Listener { recorder: ear, clock: &Still, connection: &connection, head: &head, exchange };
    let (mut source, from) = tokio::io::duplex(1 << 16);
    let (to, mut sink) = tokio::io::duplex(1 << 16);
    let sending = async move {
        for part in parts {
            if source.write_all(&part).await.is_err() {
                return;
            }
        }
    };
    let moving = async move {
        let (mut from, mut to): (BoxIo, BoxIo) = (Box::new(from), Box::new(to));
        let scratch = Scratch::new(std::path::PathBuf::new(), u64::MAX, 256 << 20);
        let mut others = scratch.charge();
        others.set(ear.others);
        let mut way = Way::new(sender, care, listener, BytesMut::new(), scratch.charge());
        let ended = poll_fn(|cx| way.poll(cx, &mut from, &mut to, &mut false)).await;
        drop(others);
        drop(way);
        assert_eq!(scratch.in_memory(), 0);
        ended
    };
    let receiving = async move {
        let mut out = Vec::new();
        sink.read_to_end(&mut out).await.unwrap();
        out
    };
    let ((), ended, out) = tokio::join!(sending, moving, receiving);
    (out, ended)
}

fn run(ear: &Ear, sender: Sender, care: Care, parts: Vec<Vec<u8>>) -> (Vec<u8>, Result<(), Stuck>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(relay(ear, sender, care, parts))
}

/// A frame as its sender writes it.
fn frame(sender: Sender, first: u8, payload: &[u8]) -> Vec<u8> {
    let bit = if sender == Sender::Device { 0x80 } else { 0 };
    let mut wire = vec![first];
    match payload.len() {
        short @ 0..=125 => wire.push(bit | short as u8),
        middle @ 126..=0xffff => {
            wire.push(bit | 126);
            wire.extend((middle as u16).to_be_bytes());
        }
        long => {
            wire.push(bit | 127);
            wire.extend((long as u64).to_be_bytes());
        }
    }
    let mask = if bit == 0 { [0; 4] } else { [0xa5, 1, 0, 0x7f] };
    wire.extend(mask.into_iter().filter(|_| bit != 0));
    wire.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    wire
}

#[test]
fn p1_a_message_that_is_refused_does_not_leave_nor_does_anything_after_it() {
    let ear = Ear { refuses: Some(b"secret"), ..Ear::default() };
    let first = frame(Sender::Device, 0x81, b"hello");
    let parts = [
        first.clone(),
        frame(Sender::Device, 0x01, b"sec"),
        frame(Sender::Device, 0x80, b"ret"),
        frame(Sender::Device, 0x81, b"later"),
    ];
    let (out, ended) = run(&ear, Sender::Device, Care::Held, vec![parts.concat()]);
    assert_eq!(out, first);
    assert!(matches!(ended, Err(Stuck::NotKept(_))), "{ended:?}");
    assert_eq!(*ear.heard.lock(), [b"hello".to_vec(), b"secret".to_vec()]);
}

#[test]
fn p1_a_message_that_never_ends_does_not_leave_and_does_not_fill_the_memory() {
    for payload in [&b""[..], &[0; 1000]] {
        let ear = Ear::default();
        let many = usize::try_from(MESSAGE_LIMIT).unwrap() / (payload.len() + FRAME_COST) + 100_000;
        let begin = frame(Sender::Device, 0x01, b"begin");
        let more = frame(Sender::Device, 0x00, payload).repeat(1000);
        let parts = std::iter::once(begin).chain(std::iter::repeat_n(more, many / 1000 + 1)).collect();
        let (out, ended) = run(&ear, Sender::Device, Care::Held, parts);
        assert!(out.is_empty());
        assert!(matches!(ended, Err(Stuck::Broken(FrameError::TooLarge))), "{ended:?}");
        assert!(ear.heard.lock().is_empty());
    }
}

#[test]
fn p1_what_is_no_frame_does_not_leave() {
    for (wrong, error) in [
        (frame(Sender::Device, 0x80, b"no beginning"), FrameError::Sequence),
        ([frame(Sender::Device, 0x01, b"a"), frame(Sender::Device, 0x81, b"b")].concat(), FrameError::Sequence),
        (frame(Sender::Origin, 0x81, b"not masked"), FrameError::Mask),
        (frame(Sender::Device, 0xc1, b"compressed"), FrameError::Reserved),
        (frame(Sender::Device, 0x8b, b"unknown"), FrameError::Reserved),
        (frame(Sender::Device, 0x09, b"half a ping"), FrameError::Control),
        (vec![0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], FrameError::TooLarge),
    ] {
        let ear = Ear::default();
        let (out, ended) = run(&ear, Sender::Device, Care::Held, vec![wrong]);
        assert!(out.is_empty());
        assert!(matches!(ended, Err(Stuck::Broken(found)) if found == error), "{error}: {ended:?}");
    }
}

#[test]
fn an_inbound_message_too_large_to_keep_goes_through_is_counted_and_the_next_one_is_heard() {
    let huge = vec![b'x'; usize::try_from(FRAME_LIMIT).unwrap() + 1];
    let origin = |first, payload: &[u8]| frame(Sender::Origin, first, payload);
    for script in [
        [origin(0x81, &huge), origin(0x81, b"next")].concat(),
        [
            origin(0x01, b"begin"),
            origin(0x00, &huge),
            origin(0x89, b"ping"),
            origin(0x80, b"end"),
            origin(0x81, b"next"),
        ]
        .concat(),
    ] {
        let ear = Ear::default();
        let parts = script.chunks(100_000).map(<[u8]>::to_vec).collect();
        let (out, ended) = run(&ear, Sender::Origin, Care::Heard, parts);
        assert!(ended.is_ok() && out == script);
        assert_eq!(*ear.heard.lock(), [b"next".to_vec()]);
        assert_eq!(*ear.gaps.lock(), [(GapCause::MessageDropped, 1)]);
    }
}

#[test]
fn inbound_noise_goes_through_and_is_one_gap() {
    let ear = Ear::default();
    let script = [frame(Sender::Origin, 0x81, b"heard"), vec![0xff; 5000]].concat();
    let (out, ended) = run(&ear, Sender::Origin, Care::Heard, vec![script.clone(), script.clone()]);
    assert!(ended.is_ok());
    assert_eq!(out, script.repeat(2));
    assert_eq!(*ear.heard.lock(), [b"heard".to_vec()]);
    assert_eq!(*ear.gaps.lock(), [(GapCause::MalformedExchange, 1)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_rhythm_gives_the_same_bytes_and_the_same_messages(
        messages in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..5), any::<bool>()),
            0..8,
        ),
        size in 1_usize..700,
        from_device in any::<bool>(),
    ) {
        let (sender, care) = if from_device { (Sender::Device, Care::Held) } else { (Sender::Origin, Care::Heard) };
        let mut script = Vec::new();
        let mut whole = Vec::new();
        for (is_text, fragments, pings) in &messages {
            for (place, fragment) in fragments.iter().enumerate() {
                let opcode = match (place, is_text) {
                    (0, true) => 1,
                    (0, false) => 2,
                    _ => 0,
                };
                let last = if place + 1 == fragments.len() { 0x80 } else { 0 };
                script.push(frame(sender, last | opcode, fragment));
                if *pings && last != 0 {
                    script.push(frame(sender, 0x89, b"ping"));
                }
            }
            whole.push(fragments.concat());
        }
        let wire = script.concat();
        let ear = Ear::default();
        let (out, ended) = run(&ear, sender, care, wire.chunks(size).map(<[u8]>::to_vec).collect());
        prop_assert!(ended.is_ok());
        prop_assert_eq!(out, wire);
        prop_assert_eq!(&*ear.heard.lock(), &whole);
        prop_assert!(ear.gaps.lock().is_empty());
    }

    #[test]
    fn no_bytes_make_a_direction_panic_or_add_to_what_came(
        bytes in proptest::collection::vec(prop_oneof![Just(0x81_u8), Just(0x80), Just(0x01), Just(0x00), any::<u8>()], 0..300),
        size in 1_usize..50,
    ) {
        for (sender, care) in [(Sender::Device, Care::Held), (Sender::Origin, Care::Heard)] {
            let ear = Ear::default();
            let (out, _ended) = run(&ear, sender, care, bytes.chunks(size).map(<[u8]>::to_vec).collect());
            if care == Care::Heard {
                prop_assert_eq!(&out, &bytes);
            }
            // Nothing is added.
            prop_assert!(out.len() <= bytes.len());
        }
    }
}

#[test]
fn p1_where_memory_is_full_a_message_is_refused_and_an_inbound_one_goes_through_unheard() {
    let full = || Ear { others: 1 << 40, ..Ear::default() };
    let parts = |sender| {
        let message = frame(sender, 0x82, &[7; 40_000]);
        vec![message[..500].to_vec(), message[500..].to_vec()]
    };
    let ear = full();
    let (out, ended) = run(&ear, Sender::Device, Care::Held, parts(Sender::Device));
    assert!(matches!(ended, Err(Stuck::NotKept(refusal)) if refusal.reason() == RefusalReason::Overloaded));
    assert!(out.is_empty() && ear.heard.lock().is_empty());
    assert_eq!(*ear.gaps.lock(), [(GapCause::WriteRefused, 1)]);
    let ear = full();
    let (out, ended) = run(&ear, Sender::Origin, Care::Heard, parts(Sender::Origin));
    assert!(ended.is_ok());
    assert_eq!(out, parts(Sender::Origin).concat());
    assert_eq!(*ear.gaps.lock(), [(GapCause::MessageDropped, 1)]);
}
