//! Bodies of parts, as clients write them and as nobody should.

use super::*;

const BODY: &[u8] = b"preamble\r\n--xYz\r\nContent-Disposition: form-data; name=\"status\"\r\n\r\nline one\r\nline two\r\n\
    --xYz\ncontent-disposition:form-data; filename=\"p\\\"q.png\"; name=file\r\ncontent-type:image/png\r\n\r\n\x89PNG\r\n\r\n--xY\r\n\
    --xYz  \r\nContent-Disposition: form-data; name=\"description\"; filename*=UTF-8''gr%C3%BCn.txt\r\n\r\n\r\n--xYz--\r\nepilogue";

fn span_text(body: &[u8], part: &Part) -> Vec<u8> {
    body[usize::try_from(part.span.start).unwrap()..usize::try_from(part.span.end).unwrap()].to_vec()
}

#[test]
fn parts_are_read_as_real_clients_write_them() {
    let parts = read(BODY, b"xYz", &Limits::default()).unwrap();
    assert!(parts.complete);
    let [status, file, empty] = &parts.parts[..] else { panic!("three parts: {parts:?}") };
    assert_eq!(status.name.as_deref(), Some("status"));
    assert_eq!(status.field.as_deref(), Some(&b"line one\r\nline two"[..]));
    assert_eq!((file.name.as_deref(), file.filename.as_deref()), (Some("file"), Some("p\"q.png")));
    assert_eq!(file.media_type.as_deref(), Some("image/png"));
    assert_eq!(file.field, None);
    assert_eq!(span_text(BODY, file), b"\x89PNG\r\n\r\n--xY");
    assert_eq!(empty.filename.as_deref(), Some("grün.txt"));
    assert!(empty.span.is_empty());
}

#[test]
fn the_boundary_comes_from_the_content_type_or_from_the_first_line() {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "Multipart/Form-Data; charset=utf-8; boundary=\"a b\"".parse().unwrap());
    assert_eq!(boundary(&headers, b"").as_deref(), Some(&b"a b"[..]));
    let lying: HeaderMap = [(CONTENT_TYPE, "text/plain".parse().unwrap())].into_iter().collect();
    let peek = b"--q1\r\ncontent-disposition:form-data; name=a\r\n\r\n1\r\n--q1--";
    assert_eq!(boundary(&lying, peek).as_deref(), Some(&b"q1"[..]));
    assert_eq!(boundary(&lying, b"-- just a dash\r\nand more"), None);
}

#[test]
fn limits_end_the_reading_and_are_reported() {
    let mut body = Vec::new();
    for number in 0..10 {
        body.extend(format!("--b\r\ncontent-disposition: form-data; name=n{number}\r\n\r\nvalue\r\n").bytes());
    }
    body.extend(b"--b--\r\n");
    assert!(!read(&body[..], b"b", &Limits::default()).unwrap().cut);
    let parts = read(&body[..], b"b", &Limits { parts: 4, ..Limits::default() }).unwrap();
    assert_eq!((parts.parts.len(), parts.complete, parts.cut), (4, false, true));
    let parts = read(&body[..], b"b", &Limits { field: 3, ..Limits::default() }).unwrap();
    assert!(parts.complete && parts.cut && parts.parts.iter().all(|part| part.field.is_none()));
    let endless = [b"--b\r\n".to_vec(), b"x: y\r\n".repeat(5000)].concat();
    let parts = read(&endless[..], b"b", &Limits::default()).unwrap();
    assert!(parts.parts.is_empty() && parts.cut);
}

#[test]
fn a_body_that_only_breaks_off_is_not_cut_and_what_stands_outside_is_kept_to_be_searched() {
    let whole = b"--b\r\ncontent-disposition: form-data; name=n\r\n\r\nvalue";
    assert!(!read(&whole[..], b"b", &Limits::default()).unwrap().cut);
    let parts = read(BODY, b"xYz", &Limits::default()).unwrap();
    let outside: Vec<_> = parts.outside.iter().map(|(begin, text)| (*begin, text.as_slice())).collect();
    assert_eq!(outside, [(0, &b"preamble"[..]), (BODY.len() as u64 - 12, b"--\r\nepilogue")]);
    assert!(!parts.cut);
    for lost in [&b"no boundary anywhere"[..], b"--b and a line that does not end"] {
        assert!(read(lost, b"b", &Limits::default()).unwrap().cut, "{}", String::from_utf8_lossy(lost));
    }
}

/// Gives one byte at a time, so that delimiters fall across every edge.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = out.len().min(1);
        (&mut self.0).take(length as u64).read(out)
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    #[test]
    fn fields_come_back_as_they_were_put_in(fields in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..70_000), 1..3)) {
        let mut body = Vec::new();
        for field in &fields {
            body.extend(b"--B0undary\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n");
            body.extend(field);
            body.extend(b"\r\n");
        }
        body.extend(b"--B0undary--\r\n");
        let parts = read(Slow(&body), b"B0undary", &Limits::default()).unwrap();
        proptest::prop_assert!(parts.complete);
        let found: Vec<_> = parts.parts.iter().map(|part| part.field.clone().unwrap()).collect();
        proptest::prop_assert_eq!(found, fields);
    }

    #[test]
    fn no_bytes_make_it_panic(body in "(--b|\r\n|\n|:|;|=|\"|name|x|content-disposition){0,60}") {
        let parts = read(body.as_bytes(), b"b", &Limits::default()).unwrap();
        for part in parts.parts {
            proptest::prop_assert!(part.span.start <= part.span.end && part.span.end <= body.len() as u64);
        }
    }
}
