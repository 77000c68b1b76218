//! The strict reader: what it takes, what it refuses, and laws that hold for any bytes.

use bytes::{Bytes, BytesMut};
use http::{Method, Version};
use proptest::prelude::*;

use super::decode::{Decoder, Piece};
use super::framing::Framing;
use super::head::{self, FIELD_LIMIT, HEAD_LIMIT, Progress, RequestStart, ResponseStart};
use super::shape::Shape;

fn taken(bytes: &[u8]) -> Result<Option<Bytes>, Shape> {
    head::take(&mut BytesMut::from(bytes), &mut Progress::default(), HEAD_LIMIT)
}

fn request(text: &str) -> Result<RequestStart, Shape> {
    head::request(&taken(text.as_bytes())?.expect("a whole head"))
}

fn response(text: &str) -> Result<ResponseStart, Shape> {
    head::response(&taken(text.as_bytes())?.expect("a whole head"), &Method::GET)
}

#[track_caller]
fn refused(fields: &str, shape: Shape) {
    let text = format!("POST /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(request(&text).err(), Some(shape), "{fields:?}");
}

#[test]
fn smuggling_shapes_are_refused_by_name() {
    refused("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Shape::LengthAndEncoding);
    refused("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", Shape::LengthAndEncoding);
    refused("Content-Length: 5\r\nContent-Length: 6\r\n", Shape::RepeatedLength);
    refused("Content-Length: 5\r\nContent-Length: 5\r\n", Shape::RepeatedLength);
    refused("Content-Length: 5, 5\r\n", Shape::RepeatedLength);
    for length in ["+5", "-1", "0x5", "5 5", "", "99999999999999999999", "5a", "\u{b2}"] {
        refused(&format!("Content-Length: {length}\r\n"), Shape::Length);
    }
    for coding in ["gzip", "gzip, chunked", "chunked, chunked", "xchunked", "identity", "chunked;q=1", "\x0bchunked"] {
        let text = format!("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n");
        assert!(matches!(request(&text).err(), Some(Shape::Encoding | Shape::Field)), "{coding:?}");
    }
    refused("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Shape::Encoding);
    refused("Transfer-Encoding : chunked\r\n", Shape::SpaceBeforeColon);
    refused("Transfer-Encoding\t: chunked\r\n", Shape::SpaceBeforeColon);
    refused("X: a\r\n b\r\n", Shape::Folded);
    refused(" X: a\r\n", Shape::Folded);
    refused("X: a\nContent-Length: 5\r\n", Shape::BareLineFeed);
    refused("X: a\rContent-Length: 5\r\n", Shape::Field);
    refused("X: a\0b\r\n", Shape::Field);
    refused("no colon\r\n", Shape::Field);
    refused(": no name\r\n", Shape::Field);
    refused("X\u{e9}: a\r\n", Shape::Field);
    let old = "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(request(old).err(), Some(Shape::EncodingInOldVersion));
}

#[test]
fn first_lines_are_read_to_the_letter() {
    for line in [
        "GET  /x HTTP/1.1",
        "GET /x  HTTP/1.1",
        " GET /x HTTP/1.1",
        "GET /x",
        "GET",
        "G@T /x HTTP/1.1",
        "GET /x HTTP/1.1 ",
    ] {
        let head = format!("{line}\r\nHost: a\r\n\r\n");
        assert!(matches!(request(&head).err(), Some(Shape::StartLine | Shape::Version | Shape::Field)), "{line:?}");
    }
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "http/1.1"] {
        assert_eq!(request(&format!("GET /x {version}\r\nHost: a\r\n\r\n")).err(), Some(Shape::Version), "{version}");
    }
    assert!(request("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok(), "one empty line before a request is borne");
    assert_eq!(taken(b"\r\n\r\nGET / HTTP/1.1\r\n\r\n").err(), Some(Shape::StartLine));
}

#[test]
fn oversize_heads_are_refused_however_they_arrive() {
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(HEAD_LIMIT));
    assert_eq!(taken(long.as_bytes()).err(), Some(Shape::HeadTooLarge));
    assert_eq!(taken(&vec![b'a'; HEAD_LIMIT + 1]).err(), Some(Shape::HeadTooLarge));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(FIELD_LIMIT + 1));
    assert_eq!(taken(many.as_bytes()).err(), Some(Shape::TooManyFields));
    let enough = format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(FIELD_LIMIT));
    assert_eq!(request(&enough).unwrap().fields.lines.len(), FIELD_LIMIT);
}

#[test]
fn a_response_may_repeat_an_agreeing_length_and_nothing_worse() {
    let framing = |fields: &str| response(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).map(|start| start.framing);
    assert_eq!(framing("Content-Length: 5\r\nContent-Length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(framing("Content-Length: 5\r\nContent-Length: 6\r\n"), Err(Shape::RepeatedLength));
    assert_eq!(framing("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), Err(Shape::LengthAndEncoding));
    assert_eq!(framing("Transfer-Encoding: gzip, chunked\r\n"), Err(Shape::Encoding));
    assert_eq!(framing(""), Ok(Framing::UntilClose));
    assert_eq!(framing("Transfer-Encoding: chunked\r\n"), Ok(Framing::Chunked));
    for (status, method) in [(204, Method::GET), (304, Method::GET), (103, Method::GET), (200, Method::HEAD)] {
        let head = Bytes::from(format!("HTTP/1.1 {status} x\r\nContent-Length: 7\r\n\r\n"));
        assert_eq!(head::response(&head, &method).unwrap().framing, Framing::None, "{status} {method}");
    }
}

#[test]
fn a_connection_persists_as_its_version_and_options_say() {
    let persists = |version: &str, option: &str| {
        let start = request(&format!("GET / {version}\r\nHost: a\r\n{option}\r\n")).unwrap();
        start.signals.persists(start.version)
    };
    assert!(persists("HTTP/1.1", ""));
    assert!(!persists("HTTP/1.1", "Connection: foo, Close\r\n"));
    assert!(!persists("HTTP/1.0", ""));
    assert!(persists("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    assert!(persists("HTTP/1.0", "Proxy-Connection: keep-alive\r\n"));
}

/// Body, trailers, whether it ended, and what is left over.
type Decoded = (Vec<u8>, Option<http::HeaderMap>, bool, Vec<u8>);

fn decode(framing: Framing, parts: &[&[u8]]) -> Result<Decoded, Shape> {
    let (mut decoder, mut buffer) = (Decoder::new(framing), BytesMut::new());
    let (mut body, mut trailers, mut ended) = (Vec::new(), None, false);
    for part in parts {
        buffer.extend_from_slice(part);
        while !ended {
            match decoder.next(&mut buffer)? {
                Some(Piece::Data(data)) => body.extend_from_slice(&data),
                Some(Piece::Trailers(fields)) => trailers = Some(fields),
                Some(Piece::End) => ended = true,
                None => break,
            }
        }
    }
    Ok((body, trailers, ended, buffer.to_vec()))
}

#[test]
fn chunks_are_read_to_the_letter() {
    let whole = |text: &str| decode(Framing::Chunked, &[text.as_bytes()]).map(|(body, _, ended, _)| (body, ended));
    assert_eq!(whole("5\r\nhello\r\n0\r\n\r\n"), Ok((b"hello".to_vec(), true)));
    assert_eq!(whole("05;ext=\"a b\"\r\nhello\r\n000\r\n\r\n"), Ok((b"hello".to_vec(), true)));
    for bad in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n",
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "0x5\r\n",
        "5 5\r\n",
        "5 \x0b\r\n",
        "+5\r\n",
        "1234567890abcdef0\r\n",
        "5;a\rb\r\n",
        "5\r\r\n",
    ] {
        assert!(whole(bad).is_err(), "{bad:?}");
    }
    assert_eq!(whole(&format!("5;{}", "a".repeat(600))), Err(Shape::Chunk));
    assert!(matches!(whole("0\r\nX: a\nY: b\r\n\r\n"), Err(Shape::BareLineFeed)));
    assert!(matches!(whole("0\r\nX: a\r\n b\r\n\r\n"), Err(Shape::Folded)));
    assert!(matches!(whole(&format!("0\r\nX: {}", "a".repeat(20_000))), Err(Shape::Trailers)));
}

#[test]
fn trailers_cannot_frame_route_or_authenticate() {
    let text = "0\r\nX-Sum: 1\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\nHost: evil\r\nProxy-Authorization: x\r\n\r\nNEXT";
    let (_, trailers, ended, rest) = decode(Framing::Chunked, &[text.as_bytes()]).unwrap();
    assert!(ended);
    assert_eq!(trailers.unwrap().keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-sum"]);
    assert_eq!(rest, b"NEXT", "what follows belongs to the next message");
}

/// Cuts bytes into parts at the given places.
fn cut<'b>(bytes: &'b [u8], places: &[usize]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut parts = Vec::new();
    let mut from = 0;
    for place in places {
        parts.push(&bytes[from..place]);
        from = place;
    }
    parts.push(&bytes[from..]);
    parts
}

/// Head and body, and what is left over.
type ReadInParts = (Option<(Bytes, Vec<u8>)>, Vec<u8>);

/// Reads one head and its body from bytes that arrive in parts: what was read, and what is left over.
fn read_in_parts(parts: &[&[u8]]) -> Result<ReadInParts, Shape> {
    let (mut buffer, mut progress) = (BytesMut::new(), Progress::default());
    let mut parts = parts.iter();
    let head = loop {
        if let Some(head) = head::take(&mut buffer, &mut progress, HEAD_LIMIT)? {
            break head;
        }
        let Some(part) = parts.next() else { return Ok((None, buffer.to_vec())) };
        buffer.extend_from_slice(part);
    };
    let start = head::request(&head)?;
    let (mut decoder, mut body) = (Decoder::new(start.framing), Vec::new());
    loop {
        match decoder.next(&mut buffer)? {
            Some(Piece::Data(data)) => body.extend_from_slice(&data),
            Some(Piece::Trailers(_)) => {}
            Some(Piece::End) => break,
            None => match parts.next() {
                Some(part) => buffer.extend_from_slice(part),
                None => return Ok((None, Vec::new())),
            },
        }
    }
    let rest = parts.fold(buffer.to_vec(), |mut rest, part| {
        rest.extend_from_slice(part);
        rest
    });
    Ok((Some((head, body)), rest))
}

/// Bytes that are nearly HTTP: lines of real heads with their ends and details disturbed.
fn near_http() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("POST /x HTTP/1.1".to_owned()),
        Just("Host: a".to_owned()),
        "Content-Length: ?[0-9]{0,3}(, ?[0-9])?",
        "[Tt]ransfer-[Ee]ncoding ?: ?(chunked|gzip|identity|, |\t){1,2}",
        Just("Connection: close".to_owned()),
        "[A-Za-z -]{0,8}:?[ -~]{0,8}",
        "[0-9a-f]{1,3}(;a=b)?",
        Just(String::new()),
    ];
    let end = prop_oneof![8 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\n ")];
    proptest::collection::vec((line, end), 0..10)
        .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect::<String>().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), cuts in proptest::collection::vec(any::<usize>(), 0..4)) {
        let parts = cut(&bytes, &cuts);
        drop(read_in_parts(&parts));
        for framing in [Framing::Chunked, Framing::Length(7), Framing::UntilClose] {
            drop(decode(framing, &parts));
        }
        drop(taken(&bytes).map(|head| head.map(|head| head::response(&head, &Method::GET).map(|start| start.fields.map()))));
    }

    #[test]
    fn the_rhythm_of_arrival_does_not_change_what_is_read(bytes in near_http(), cuts in proptest::collection::vec(any::<usize>(), 0..6)) {
        prop_assert_eq!(read_in_parts(&cut(&bytes, &cuts)), read_in_parts(&[&bytes]));
    }

    #[test]
    fn a_head_that_is_taken_leaves_no_room_for_a_second_reading(bytes in near_http()) {
        let Ok(Some(head)) = taken(&bytes) else { return Ok(()) };
        let Ok(start) = head::request(&head) else { return Ok(()) };
        // Every line ends in CR LF, there is no other CR or LF, and no fold.
        let text = std::str::from_utf8(&head).unwrap();
        for line in text.strip_suffix("\r\n\r\n").unwrap().split("\r\n") {
            prop_assert!(!line.contains(['\r', '\n', '\0']), "{:?}", line);
            prop_assert!(!line.starts_with([' ', '\t']), "{:?}", line);
        }
        let named = |wanted: &str| start.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes())).count();
        // At most one field frames, and it says what the framing is.
        prop_assert!(named("content-length") + named("transfer-encoding") <= 1);
        match start.framing {
            Framing::Chunked => prop_assert_eq!(named("transfer-encoding"), 1),
            Framing::Length(_) => prop_assert_eq!(named("content-length"), 1),
            Framing::None => prop_assert_eq!(named("transfer-encoding"), 0),
            Framing::UntilClose => prop_assert!(false, "a request ends by its own words"),
        }
        prop_assert!(start.version == Version::HTTP_11 || start.version == Version::HTTP_10);
    }

    #[test]
    fn what_is_chunked_comes_out_as_it_went_in(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..6),
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\nrest");
        let (body, trailers, ended, rest) = decode(Framing::Chunked, &[&wire]).unwrap();
        prop_assert_eq!(&body, &chunks.concat());
        prop_assert!(ended && trailers.is_none());
        prop_assert_eq!(rest, b"rest");
        let (in_parts, ..) = decode(Framing::Chunked, &cut(&wire, &cuts)).unwrap();
        prop_assert_eq!(in_parts, body);
    }
}
