//! A reader of event streams, as the standard describes one.

use std::net::SocketAddr;
use std::time::Duration;

use muniment::api::StreamBounds;
use muniment::ledger::{Entry, EntryType};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::limits::until;
use super::world::{Officer, Setting, World};

pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// One event as a client sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) id: u64,
    pub(super) event: String,
    pub(super) data: Value,
}

/// A reader as the standard describes one: it dispatches what has data, and remembers the last id.
pub(super) struct Reader {
    pub(super) stream: TcpStream,
    pub(super) raw: Vec<u8>,
    /// Of `raw`, taken apart so far.
    taken: usize,
    pub(super) head: String,
    pub(super) last: Option<u64>,
    pub(super) comments: usize,
    pub(super) events: Vec<Seen>,
    pub(super) ended: bool,
}

impl Reader {
    pub(super) async fn open(address: SocketAddr, officer: &Officer, query: &str, last: Option<u64>) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let last_header = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /v1/events{query} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n{last_header}\r\n",
            officer.token
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let (raw, head) = (Vec::new(), String::new());
        let mut reader = Self { stream, raw, taken: 0, head, last, comments: 0, events: Vec::new(), ended: false };
        reader.until(|reader| !reader.head.is_empty()).await;
        assert!(reader.head.starts_with("HTTP/1.1 200"), "{}", reader.head);
        // What is appended from now on is after the stream's beginning.
        reader.until(|reader| reader.last.is_some()).await;
        reader
    }

    pub(super) async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let reading = async {
            while !done(self) {
                assert!(!self.ended, "the stream ended first: {}", String::from_utf8_lossy(&self.raw));
                self.more().await;
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("in time");
    }

    pub(super) async fn end(&mut self) {
        let reading = async {
            while !self.ended {
                self.more().await;
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("an end in time");
    }

    async fn more(&mut self) {
        let mut bytes = [0; 16_384];
        let count = self.stream.read(&mut bytes).await.unwrap_or(0);
        self.raw.extend_from_slice(&bytes[..count]);
        if self.head.is_empty() {
            let Some(end) = self.raw.windows(4).position(|window| window == b"\r\n\r\n") else {
                assert!(count > 0, "no head");
                return;
            };
            self.head = String::from_utf8(self.raw.drain(..end + 4).collect()).unwrap().to_ascii_lowercase();
            self.head.replace_range(..8, "HTTP/1.1");
        }
        // Chunks, each with its length before it.
        while let Some(line) = self.raw[self.taken..].windows(2).position(|window| window == b"\r\n") {
            let length = std::str::from_utf8(&self.raw[self.taken..self.taken + line]).unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            let (from, to) = (self.taken + line + 2, self.taken + line + 2 + length);
            if self.raw.len() < to + 2 {
                break;
            }
            self.taken = to + 2;
            self.ended |= length == 0;
            let text = String::from_utf8(self.raw[from..to].to_vec()).unwrap();
            assert!(text.is_empty() || text.ends_with("\n\n"), "whole events only: {text}");
            text.split_terminator("\n\n").for_each(|block| self.take(block));
        }
        self.ended |= count == 0;
    }

    fn take(&mut self, block: &str) {
        let (mut event, mut data) = (String::new(), None);
        for line in block.lines() {
            match line.split_once(':').expect("a field or a comment") {
                ("", _) => self.comments += 1,
                ("id", id) => self.last = Some(id.trim().parse().unwrap()),
                ("event", name) => name.trim().clone_into(&mut event),
                ("data", json) => data = Some(serde_json::from_str(json).unwrap()),
                ("retry", time) => assert_eq!(time.trim(), "2000"),
                other => panic!("{other:?}"),
            }
        }
        if let Some(data) = data {
            self.events.push(Seen { id: self.last.unwrap(), event, data });
        }
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.events.iter().map(|event| event.id).collect()
    }
}

pub(super) fn following() -> Setting {
    let streams = StreamBounds { pace: Duration::from_millis(50), ..StreamBounds::default() };
    Setting { follow: true, streams, ..Setting::default() }
}

/// The looks of a stream: what each says it is, and what it counts.
pub(super) async fn looks(world: &World, from: u64) -> Vec<(String, Entry)> {
    let size = world.test.archive.head_size().await.unwrap();
    let mut looks = Vec::new();
    for entry in world.test.archive.entries(from..size).await.unwrap() {
        if entry.entry_type() == EntryType::Access {
            assert_eq!(entry.detail()["operation"], "events.follow");
            let content = world.test.archive.content(&entry).await.unwrap().unwrap();
            looks.push((content.text("query").unwrap().to_owned(), entry));
        }
    }
    looks
}

pub(super) async fn ended(world: &World) {
    until("the streams end", || world.instance.streaming.is_empty()).await;
}
