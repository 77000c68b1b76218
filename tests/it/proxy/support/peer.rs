//! One side of a conversation: sends bytes as written, and expects bytes as written.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// Long enough for a busy machine, short enough for a test that hangs.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection with a name, for messages.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(name: &'static str, stream: impl Stream + 'static) -> Self {
        Self { name, stream: Box::new(stream), buffer: Vec::new() }
    }

    /// `>>`
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(SOON, async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        })
        .await
        .unwrap_or_else(|_| panic!("{} cannot send", self.name))
        .unwrap();
    }

    /// Like [`Self::send`], to somebody who may have hung up.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        matches!(timeout(SOON, self.stream.write_all(bytes.as_ref())).await, Ok(Ok(())))
    }

    /// `<<`: exactly these bytes come next.
    pub(crate) async fn expect(&mut self, wanted: impl AsRef<[u8]>) {
        let wanted = wanted.as_ref();
        while self.buffer.len() < wanted.len() && wanted.starts_with(&self.buffer) {
            if !self.fill().await {
                break;
            }
        }
        let got = &self.buffer[..self.buffer.len().min(wanted.len())];
        assert_eq!(String::from_utf8_lossy(got), String::from_utf8_lossy(wanted), "{} read something else", self.name);
        self.buffer.drain(..wanted.len());
    }

    /// Reads a head, its empty line included.
    pub(crate) async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.buffer.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(
                self.fill().await,
                "{} read {:?} and then the end",
                self.name,
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    /// Reads an answer with its body, as far as it comes; empty when the connection ends instead.
    pub(crate) async fn until_head(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                let length =
                    field(&String::from_utf8_lossy(&head), "content-length").map_or(0, |text| text.parse().unwrap());
                while self.buffer.len() < length && self.fill().await {}
                self.buffer.drain(..length.min(self.buffer.len()));
                return head;
            }
            if !self.fill().await {
                return std::mem::take(&mut self.buffer);
            }
        }
    }

    /// Reads so many bytes.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill().await, "{} read {} of {count} bytes", self.name, self.buffer.len());
        }
        self.buffer.drain(..count).collect()
    }

    /// Reads an answer whose head says its length: head, body.
    pub(crate) async fn answer(&mut self) -> (String, String) {
        let head = self.head().await;
        let length = field(&head, "content-length").map_or(0, |value| value.parse().unwrap());
        (head, String::from_utf8(self.bytes(length).await).unwrap())
    }

    /// Everything until the peer ends the connection, however it does.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    /// The peer ended the connection, and said nothing before.
    pub(crate) async fn expect_end(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "{} read {:?} before the end", self.name, String::from_utf8_lossy(&rest));
    }

    /// Ends the connection in order.
    pub(crate) async fn close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Nothing comes for a while.
    pub(crate) async fn expect_silence(&mut self, span: Duration) {
        assert!(self.buffer.is_empty(), "{} has read {:?}", self.name, String::from_utf8_lossy(&self.buffer));
        let mut byte = [0; 256];
        if let Ok(Ok(count)) = timeout(span, self.stream.read(&mut byte)).await {
            panic!("{} read {:?}", self.name, String::from_utf8_lossy(&byte[..count]));
        }
    }

    async fn fill(&mut self) -> bool {
        let read = timeout(SOON, self.stream.read_buf(&mut self.buffer)).await;
        match read {
            Ok(read) => read.is_ok_and(|count| count > 0),
            Err(_) => panic!("{} waits in vain, having read {:?}", self.name, String::from_utf8_lossy(&self.buffer)),
        }
    }
}

/// A field's value in a head.
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.trim())
}

/// A status line's number.
pub(crate) fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_else(|_| panic!("no status in {head:?}"))
}
