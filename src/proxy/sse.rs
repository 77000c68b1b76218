//! Cuts endless bodies into messages: server-sent events (WHATWG HTML §9.2) and newline-delimited JSON.
//!
//! Sans-I/O. Invariants: a message larger than [`LARGEST`] is dropped and counted, not cut; at most [`WAITING`] bytes of
//! finished messages wait to be taken.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

/// Largest message.
const LARGEST: usize = 1 << 20;
/// Most bytes in finished messages that nobody has taken yet: a compressed stream can grow a thousandfold in one step.
const WAITING: usize = 8 << 20;
/// What a waiting message costs beside its bytes.
const OVERHEAD: usize = 128;

/// How a body is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// `text/event-stream`.
    Events,
    /// One JSON value a line.
    Lines,
}

/// A finished message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The event's name, where it has one.
    pub(crate) event: Option<String>,
    pub(crate) data: Bytes,
}

impl Piece {
    /// What it takes while it waits. Its name is a line like any other, and as long as one can be.
    fn cost(&self) -> usize {
        self.data.len() + self.event.as_ref().map_or(0, String::len) + OVERHEAD
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LongLine {
    No,
    /// Nothing is lost with it.
    Comment,
    Field,
}

/// Byte order mark: it may stand before the first line.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Takes bytes, gives messages.
pub(crate) struct Splitter {
    cut: Cut,
    line: Vec<u8>,
    after_return: bool,
    event: Option<String>,
    data: Vec<u8>,
    has_data: bool,
    /// Largest line, and largest data of a message.
    largest: usize,
    /// The line so far is too long: nothing of it is kept.
    long_line: LongLine,
    /// Something of the message so far was not kept: its end is counted, not given.
    overflown: bool,
    first_line: bool,
    waiting: VecDeque<Piece>,
    waiting_bytes: usize,
    dropped: u64,
}

impl Splitter {
    pub(crate) const fn new(cut: Cut) -> Self {
        Self {
            cut,
            line: Vec::new(),
            after_return: false,
            event: None,
            data: Vec::new(),
            has_data: false,
            largest: LARGEST,
            long_line: LongLine::No,
            overflown: false,
            first_line: true,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            dropped: 0,
        }
    }

    /// The next finished message.
    pub(crate) fn take(&mut self) -> Option<Piece> {
        let piece = self.waiting.pop_front()?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(piece.cost());
        Some(piece)
    }

    /// How many were dropped since the last call.
    pub(crate) const fn take_dropped(&mut self) -> u64 {
        std::mem::replace(&mut self.dropped, 0)
    }

    /// Adds bytes as they come.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        let after_return = self.after_return && !bytes.is_empty();
        if after_return {
            self.after_return = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = self.line_end(bytes) {
            let (line, rest) = bytes.split_at(end);
            self.extend_line(line);
            self.end_line();
            bytes = match rest {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_return = true;
                    &[]
                }
                [_, rest @ ..] => rest,
                [] => &[],
            };
        }
        self.extend_line(bytes);
    }

    /// The stream is over: a last line without an end is a message of its own for lines, and nothing for events (as browsers do).
    pub(crate) fn finish(&mut self) {
        if self.cut == Cut::Lines {
            self.end_line();
        }
    }

    fn line_end(&self, bytes: &[u8]) -> Option<usize> {
        match self.cut {
            Cut::Events => memchr::memchr2(b'\n', b'\r', bytes),
            Cut::Lines => memchr::memchr(b'\n', bytes),
        }
    }

    fn extend_line(&mut self, part: &[u8]) {
        if self.long_line != LongLine::No {
            return;
        }
        if self.line.len() + part.len() > self.largest {
            let begin = self.line.first().or(part.first());
            self.long_line = if begin == Some(&b':') { LongLine::Comment } else { LongLine::Field };
            self.line.clear();
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let long = std::mem::replace(&mut self.long_line, LongLine::No);
        let mut whole = line.as_slice();
        if std::mem::replace(&mut self.first_line, false) {
            whole = whole.strip_prefix(MARK).unwrap_or(whole);
        }
        match (self.cut, long) {
            (Cut::Events, LongLine::No) => self.end_event_line(whole),
            (Cut::Events, LongLine::Comment) => {}
            // The rest of this event would be taken for the whole of it: none of it is given.
            (Cut::Events, LongLine::Field) => self.overflown = true,
            (Cut::Lines, LongLine::No) => {
                let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
                if !whole.trim_ascii().is_empty() {
                    let data = Bytes::copy_from_slice(whole);
                    self.give(Piece { event: None, data });
                }
            }
            (Cut::Lines, LongLine::Comment | LongLine::Field) => self.dropped += 1,
        }
        // The line's memory is used again.
        self.line = line;
        self.line.clear();
    }

    fn end_event_line(&mut self, line: &[u8]) {
        if line.is_empty() {
            return self.dispatch();
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default()),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" if self.data.len() + value.len() + usize::from(self.has_data) > self.largest => {
                self.overflown = true;
                self.data.clear();
            }
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.event = Some(String::from_utf8_lossy(value).into_owned()),
            // id and retry steer the browser's reconnection; a line that begins with a colon is a comment.
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let event = self.event.take().filter(|name| !name.is_empty());
        let has_data = std::mem::replace(&mut self.has_data, false);
        let data = std::mem::take(&mut self.data);
        if std::mem::replace(&mut self.overflown, false) {
            self.dropped += 1;
        } else if has_data {
            self.give(Piece { event, data: data.into() });
        }
    }

    fn give(&mut self, piece: Piece) {
        let cost = piece.cost();
        if self.waiting_bytes + cost > WAITING {
            self.dropped += 1;
        } else {
            self.waiting_bytes += cost;
            self.waiting.push_back(piece);
        }
    }
}

/// So that a decoder of a content coding can write into it.
impl io::Write for Splitter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
