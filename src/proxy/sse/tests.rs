//! Streams cut by the book, in any rhythm, with parts of any size.

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
        (Cut::Events, [b"data: ".as_slice(), &vec![b'x'; LARGEST + 1], b"\n\n"].concat(), b"data: y\n\n".as_slice()),
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
