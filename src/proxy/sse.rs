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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(cut: Cut, parts: &[&[u8]]) -> Vec<(Option<String>, String)> {
        let mut splitter = Splitter::new(cut);
        parts.iter().for_each(|part| splitter.push(part));
        splitter.finish();
        std::iter::from_fn(|| splitter.take())
            .map(|piece| (piece.event, String::from_utf8(piece.data.to_vec()).unwrap()))
            .collect()
    }

    #[test]
    fn events_are_cut_as_browsers_cut_them() {
        let stream = b": hello\n\nevent: update\r\ndata: {\"a\":\rdata: 1}\r\n\r\nid: 7\ndata\n\ndata: x\n\ndata:  y\n\nevent: no data\n\ndata: unfinished";
        assert_eq!(
            pieces(Cut::Events, &[stream]),
            [
                (Some("update".to_owned()), "{\"a\":\n1}".to_owned()),
                (None, String::new()),
                (None, "x".to_owned()),
                (None, " y".to_owned()),
            ]
        );
    }

    #[test]
    fn lines_are_messages() {
        assert_eq!(
            pieces(Cut::Lines, &[b"{\"a\":1}\r\n\n{\"b\"", b":2}\n{\"c\":3}"]),
            [(None, "{\"a\":1}".to_owned()), (None, "{\"b\":2}".to_owned()), (None, "{\"c\":3}".to_owned())]
        );
    }

    #[test]
    fn a_message_over_the_bound_is_dropped_and_counted_and_the_next_one_is_whole() {
        for (cut, big, next) in [
            (
                Cut::Events,
                [b"data: ".as_slice(), &vec![b'x'; LARGEST + 1], b"\n\n"].concat(),
                b"data: y\n\n".as_slice(),
            ),
            (Cut::Lines, [vec![b'x'; LARGEST + 1].as_slice(), b"\n"].concat(), b"y\n".as_slice()),
        ] {
            let mut splitter = Splitter::new(cut);
            for part in big.chunks(10_000) {
                splitter.push(part);
            }
            assert!(splitter.line.len() <= LARGEST && splitter.data.len() <= LARGEST);
            splitter.push(next);
            assert_eq!(splitter.take_dropped(), 1, "{cut:?}");
            assert_eq!(splitter.take().unwrap().data, "y");
        }
    }

    #[test]
    fn messages_that_nobody_takes_do_not_pile_up() {
        let mut splitter = Splitter::new(Cut::Lines);
        for _ in 0..1_000_000 {
            splitter.push(b"1\n");
        }
        assert!(splitter.waiting.len() < WAITING / OVERHEAD + 1);
        assert!(splitter.take_dropped() > 900_000);
    }

    #[test]
    fn a_byte_order_mark_before_the_first_line_is_no_part_of_it() {
        let marked = "\u{feff}data: a\n\n\u{feff}data: b\n\ndata: c\n\n".as_bytes();
        assert_eq!(pieces(Cut::Events, &[marked]), [(None, "a".to_owned()), (None, "c".to_owned())]);
        let parts: Vec<&[u8]> = marked.chunks(1).collect();
        assert_eq!(pieces(Cut::Events, &parts), pieces(Cut::Events, &[marked]));
        assert_eq!(pieces(Cut::Lines, &["\u{feff}{}\n".as_bytes()]), [(None, "{}".to_owned())]);
    }

    #[test]
    fn what_follows_a_part_that_was_too_long_is_not_taken_for_the_whole_event() {
        let long = "x".repeat(LARGEST);
        for (stream, wanted, dropped) in [
            (format!("data: {long}\ndata: tail\nevent: e\n\ndata: next\n\n"), &["next"][..], 1),
            (format!("data: a\ndata: {long}\n\ndata: next\n\n"), &["next"], 1),
            (format!("data: a\nevent: {long}\ndata: tail\n\ndata: next\n\n"), &["next"], 1),
            (format!("data: a\n: {long}\ndata: b\n\n"), &["a\nb"], 0),
        ] {
            let mut splitter = Splitter::new(Cut::Events);
            stream.as_bytes().chunks(50_000).for_each(|part| splitter.push(part));
            let given: Vec<_> = std::iter::from_fn(|| splitter.take()).map(|piece| piece.data).collect();
            assert_eq!(given, wanted);
            assert_eq!(splitter.take_dropped(), dropped);
        }
    }

    #[test]
    fn long_names_of_events_do_not_pile_up_either() {
        let mut splitter = Splitter::new(Cut::Events);
        let event = format!("event: {}\ndata: x\n\n", "n".repeat(LARGEST / 2));
        for _ in 0..64 {
            splitter.push(event.as_bytes());
        }
        let kept: usize = splitter.waiting.iter().map(Piece::cost).sum();
        assert!(kept <= WAITING && splitter.take_dropped() > 40, "{kept}");
    }

    /// Events of a whole text, by the book: none that has a part over the limit.
    fn by_the_book(text: &str, largest: usize) -> (Vec<String>, u64) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines: Vec<&str> = text.split('\n').collect();
        let (mut given, mut dropped) = (Vec::new(), 0);
        let (mut data, mut lost): (Option<String>, bool) = (None, false);
        for line in lines.split_last().unwrap().1 {
            if line.is_empty() {
                match (std::mem::take(&mut lost), data.take()) {
                    (true, _) => dropped += 1,
                    (false, data) => given.extend(data),
                }
            } else if line.len() > largest {
                lost |= !line.starts_with(':');
            } else if let Some(value) = line.strip_prefix("data:") {
                let value = value.strip_prefix(' ').unwrap_or(value);
                let joined = data.take().map_or(value.to_owned(), |data| format!("{data}\n{value}"));
                lost |= joined.len() > largest;
                data = Some(joined);
            }
        }
        (given, dropped)
    }

    proptest! {
        #[test]
        fn an_event_is_given_whole_or_counted(
            text in "(data: ?[a-z]{0,12}|event: [a-z]{0,9}|: [a-z]{0,12}|\r\n|\n|\r|\n\n){0,40}",
            size in 1_usize..9,
        ) {
            let mut splitter = Splitter { largest: 10, ..Splitter::new(Cut::Events) };
            text.as_bytes().chunks(size).for_each(|part| splitter.push(part));
            let given: Vec<_> = std::iter::from_fn(|| splitter.take())
                .map(|piece| String::from_utf8(piece.data.to_vec()).unwrap())
                .collect();
            let (wanted, dropped) = by_the_book(&text, 10);
            prop_assert_eq!(given, wanted);
            prop_assert_eq!(splitter.take_dropped(), dropped);
            prop_assert!(splitter.line.capacity() < 64 && splitter.data.capacity() < 64);
        }

        #[test]
        fn the_rhythm_of_arrival_does_not_matter(
            text in "(data: ?[a-z]{0,5}|event: [a-z]{0,3}|: c|\r\n|\n|\r){0,40}",
            cuts in proptest::collection::vec(0_usize..200, 0..10),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut from = 0;
            for cut in cuts {
                parts.push(&bytes[from..cut]);
                from = cut;
            }
            parts.push(&bytes[from..]);
            for cut in [Cut::Events, Cut::Lines] {
                prop_assert_eq!(pieces(cut, &parts), pieces(cut, &[bytes]));
            }
        }
    }
}
