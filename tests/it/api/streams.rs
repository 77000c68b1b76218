//! Streams of events: who may have one and for how long, how many there are, and how each ends.

use std::time::Duration;

use muniment::api::StreamBounds;
use muniment::archive::{Append as _, Limits};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::document::assert_documented;
use super::kept::keep;
use super::limits::until;
use super::reader::{PATIENCE, Reader, ended, following, looks};
use super::routes::document;
use super::world::{Setting, World, by};
use crate::support::submissions::{advisor, gap};

#[tokio::test]
async fn a_revoked_or_expired_token_ends_the_stream_within_seconds() {
    let world = World::with(following()).await;
    let (olga, otto) = (world.officer(&["compliance"]).await, world.officer(&["compliance"]).await);
    use muniment::record::{Clock as _, Timestamp};
    let end = Timestamp::from_unix_micros(world.test.clock.now().unix_micros() + 60_000_000).unwrap();
    let short = world.officer_within(&["compliance"], &Limits { expires_at: Some(end), ..Limits::default() }).await;
    let mut readers = Vec::new();
    for officer in [&olga, &otto, &short] {
        readers.push(Reader::open(world.instance.address, officer, "", None).await);
    }
    let begun = std::time::Instant::now();
    world.test.archive.revoke_officer(by(), olga.id).await.unwrap();
    readers[0].end().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    world.test.clock.step_forward(Duration::from_secs(61));
    readers[2].end().await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    for reader in [&readers[0], &readers[2]] {
        assert!(String::from_utf8_lossy(&reader.raw).contains(": ended, refused"));
    }
    // Nobody else's.
    assert!(!readers[1].ended);
}

#[tokio::test]
async fn a_token_for_some_advisors_follows_those_and_nobody_else() {
    let world = World::with(following()).await;
    let (ada, bert) = (advisor(1), advisor(2));
    let officer = world.officer_within(&["compliance"], &Limits { advisors: vec![ada], ..Limits::default() }).await;
    for path in ["/v1/events".to_owned(), format!("/v1/events?advisor={bert}")] {
        world.get(&path).officer(&officer).send().await.problem(403, "out-of-scope");
    }
    let mut reader = Reader::open(world.instance.address, &officer, &format!("?advisor={ada}"), None).await;
    keep(&world.test, &[bert], &[], &[]).await;
    let ours = keep(&world.test, &[ada], &[], &[]).await;
    reader.until(|reader| !reader.events.is_empty()).await;
    assert_eq!(reader.ids(), [ours.index]);
}

#[tokio::test]
async fn the_end_of_the_service_ends_streams_at_once_and_is_on_record() {
    let world = World::with(following()).await;
    let officer = world.officer(&["compliance"]).await;
    let begun = world.test.archive.head_size().await.unwrap();
    let mut reader = Reader::open(world.instance.address, &officer, "", None).await;
    let since = std::time::Instant::now();
    world.instance.draining.cancel();
    world.instance.stop.cancel();
    reader.end().await;
    assert!(String::from_utf8_lossy(&reader.raw).contains(": ended, stopping"));
    until("the listener ends", || world.instance.serving.is_finished()).await;
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    ended(&world).await;
    let (said, _entry) = looks(&world, begun).await.pop().unwrap();
    assert!(said.contains("&part=ended&why=stopping&"), "{said}");
}

#[tokio::test]
async fn an_officer_has_so_many_streams_and_others_have_theirs_and_none_takes_a_slot() {
    let streams = StreamBounds { each: 2, all: 3, ..StreamBounds::default() };
    let world = World::with(Setting { streams, slots: 1, ..following() }).await;
    let (olga, otto) = (world.officer(&["compliance"]).await, world.officer(&["compliance"]).await);
    let first = Reader::open(world.instance.address, &olga, "", None).await;
    let _second = Reader::open(world.instance.address, &olga, "", None).await;
    let refused = world.get("/v1/events").officer(&olga).send().await;
    let problem = refused.problem(429, "too-many-streams");
    assert!(problem["detail"].as_str().unwrap().starts_with("2 event streams"), "{problem}");
    assert_eq!(refused.header("retry-after"), Some("2"));
    assert_documented(&document(&world).await, "/v1/events", "/v1/events", &refused);
    let _third = Reader::open(world.instance.address, &otto, "", None).await;
    world.get("/v1/events").officer(&otto).send().await.problem(503, "busy");
    assert_eq!(world.get("/v1/gaps").officer(&olga).send().await.status, 200, "requests have their slot");
    drop(first);
    until("the place is given back", || world.instance.streaming.len() == 2).await;
    let _fourth = Reader::open(world.instance.address, &olga, "", None).await;
}

#[tokio::test]
async fn a_silent_stream_says_that_it_lives_and_outlives_the_stall_guard() {
    let mut setting = super::limits::short();
    let keep_alive = Duration::from_millis(200);
    (setting.follow, setting.streams) = (true, StreamBounds { keep_alive, ..following().streams });
    let world = World::with(setting).await;
    let officer = world.officer(&["compliance"]).await;
    let mut reader = Reader::open(world.instance.address, &officer, "?events=record", None).await;
    // Longer than a connection may stand still.
    let begun = std::time::Instant::now();
    reader.until(|reader| reader.comments >= 8).await;
    assert!(begun.elapsed() > Duration::from_millis(1_200));
    assert!(reader.events.is_empty());
    // Its cursor went over what it did not ask for.
    let index = world.test.archive.append(gap(&world.test, "outage")).await.unwrap().index;
    reader.until(|reader| reader.last >= Some(index)).await;
    assert!(reader.events.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_is_ended_and_gives_the_place_back() {
    let mut setting = super::limits::short();
    (setting.follow, setting.streams) = (true, StreamBounds { stall: Duration::from_secs(1), ..following().streams });
    let world = World::with(setting).await;
    let officer = world.officer(&["compliance"]).await;
    let long: Vec<String> =
        (0..500).map(|number| format!("flag_{number}_that_is_about_as_long_as_a_word_may_be")).collect();
    for _ in 0..300 {
        keep(&world.test, &[advisor(1)], &[("flags", json!(long))], &[]).await;
    }
    world.project().await;
    let mut stream = TcpStream::connect(world.instance.address).await.unwrap();
    let request =
        format!("GET /v1/events?after=0 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n", officer.token);
    stream.write_all(request.as_bytes()).await.unwrap();
    until("the stream begins", || !world.instance.streaming.is_empty()).await;
    let begun = std::time::Instant::now();
    ended(&world).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    let _cut = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it was hung up on");
}
