//! `multipart/form-data` (RFC 7578), read as a stream: fields into memory, files by their place only.
//!
//! Tolerant where clients differ (lower-case part headers, no space after the colon, bare LF, a missing last boundary),
//! bounded everywhere: number of parts, size of a part's head, size of a field.

use std::io::{self, Read};
use std::ops::Range;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::Limits;

const MAX_PART_HEAD: usize = 8 << 10;
/// RFC 2046 §5.1.1 says 70; some clients take more.
const MAX_BOUNDARY: usize = 200;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Part {
    pub(crate) name: Option<String>,
    pub(crate) filename: Option<String>,
    pub(crate) media_type: Option<String>,
    /// Where its content stands in the body.
    pub(crate) span: Range<u64>,
    /// The content of a field; none of a file, nor beyond [`Limits::field`].
    pub(crate) field: Option<Vec<u8>>,
}

/// The parts, and whether they are all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parts {
    pub(crate) parts: Vec<Part>,
    /// The closing boundary was seen and no limit was passed.
    pub(crate) complete: bool,
    /// A limit was passed: some of it was neither told apart nor kept to be searched.
    pub(crate) cut: bool,
    /// What stands before the first boundary and behind the last one, with its place.
    pub(crate) outside: Vec<(u64, Vec<u8>)>,
}

impl Parts {
    /// Of a body that says that it has parts and does not say what is between them.
    pub(crate) fn unknown() -> Self {
        Self { cut: true, ..Self::default() }
    }

    fn outside(&mut self, begin: u64, content: Content) {
        self.cut |= content.kept.len() as u64 != content.size;
        if content.size > 0 {
            self.outside.push((begin, content.kept));
        }
    }
}

/// The boundary that the content type names, or that the first line shows.
pub(crate) fn boundary(headers: &HeaderMap, peek: &[u8]) -> Option<Vec<u8>> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let named = content_type
        .get(..10)
        .filter(|start| start.eq_ignore_ascii_case("multipart/"))
        .and_then(|_start| parameter(content_type, "boundary"))
        .map(String::into_bytes);
    let shown = || {
        let line = peek.strip_prefix(b"--")?.split(|byte| *byte == b'\n').next()?;
        let line = line.strip_suffix(b"\r")?;
        let head = peek.get(..peek.len().min(512))?.to_ascii_lowercase();
        let is_form = head.windows(20).any(|window| window == b"content-disposition:");
        (is_form && !line.is_empty()).then(|| line.to_vec())
    };
    named.or_else(shown).filter(|boundary| (1..=MAX_BOUNDARY).contains(&boundary.len()))
}

/// A parameter of a header value such as `form-data; name="a"`; quoted strings with backslash escapes are undone.
pub(crate) fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        let (name, after) = rest.split_once('=')?;
        let (text, tail) = if let Some(quoted) = after.trim_start().strip_prefix('"') {
            quoted_string(quoted)
        } else {
            let (text, tail) = after.split_once(';').unwrap_or((after, ""));
            (text.trim().to_owned(), tail)
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(text);
        }
        rest = tail;
    }
}

fn quoted_string(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (text, quoted.get(at + 1..).unwrap_or("")),
            // Browsers escape `"` as %22 and send backslashes of Windows paths bare: only these two are escapes.
            '\\' if quoted.get(at + 1..).is_some_and(|after| after.starts_with(['"', '\\'])) => {
                text.extend(characters.next().map(|(_at, escaped)| escaped));
            }
            other => text.push(other),
        }
    }
    (text, "")
}

/// Reads all parts.
pub(crate) fn read(body: impl Read, boundary: &[u8], limits: &Limits) -> io::Result<Parts> {
    let mut reader = Reader { body, buffer: Vec::new(), at: 0, ended: false };
    let mut delimiter = b"\n--".to_vec();
    delimiter.extend_from_slice(boundary);
    let mut parts = Parts::default();
    // The first boundary may stand at the very beginning, without a line end before it.
    reader.fill(delimiter.len())?;
    let mut opened = if reader.buffer.starts_with(delimiter.get(1..).unwrap_or_default()) {
        reader.skip(delimiter.len() - 1);
        true
    } else {
        let before = reader.until(&delimiter, limits.field)?;
        let found = before.found;
        parts.cut |= !found;
        parts.outside(0, before);
        found
    };
    while opened {
        let Some(closes) = reader.boundary_line()? else { break };
        if closes {
            parts.complete = true;
            break;
        }
        if parts.parts.len() >= limits.parts {
            break;
        }
        let Some(mut part) = reader.part_head()? else { break };
        let keep = if part.filename.is_some() { 0 } else { limits.field };
        let begin = reader.at;
        let content = reader.until(&delimiter, keep)?;
        part.span = begin..begin + content.size;
        part.field = (part.filename.is_none() && content.kept.len() as u64 == content.size).then_some(content.kept);
        parts.cut |= part.filename.is_none() && part.field.is_none() && !part.is_media();
        parts.parts.push(part);
        opened = content.found;
    }
    let (begin, rest) = (reader.at, reader.rest(limits.field)?);
    // Where no boundary closes, nothing may follow: it would be parts that were not told apart.
    parts.cut |= !parts.complete && !rest.kept.trim_ascii().is_empty();
    parts.outside(begin, rest);
    Ok(parts)
}

struct Reader<R> {
    body: R,
    /// Read and not yet consumed.
    buffer: Vec<u8>,
    /// Offset in the body of the buffer's first byte.
    at: u64,
    ended: bool,
}

struct Content {
    size: u64,
    kept: Vec<u8>,
    found: bool,
}

impl<R: Read> Reader<R> {
    /// Has at least `wanted` bytes in the buffer unless the body ends before.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        while self.buffer.len() < wanted && !self.ended {
            let missing = (wanted - self.buffer.len()).max(64 << 10) as u64;
            let read = (&mut self.body).take(missing).read_to_end(&mut self.buffer)?;
            self.ended = (read as u64) < missing;
        }
        Ok(())
    }

    fn skip(&mut self, length: usize) {
        let length = length.min(self.buffer.len());
        self.buffer.drain(..length);
        self.at += length as u64;
    }

    /// Consumes up to and with the delimiter; a CR before it belongs to it. Keeps up to `keep` bytes of what stood before.
    fn until(&mut self, delimiter: &[u8], keep: usize) -> io::Result<Content> {
        let mut content = Content { size: 0, kept: Vec::new(), found: false };
        loop {
            self.fill(delimiter.len() + 1)?;
            let found = find(&self.buffer, delimiter);
            // Without a find, the tail may hold the beginning of a delimiter (and its CR): it stays for the next turn.
            let ready = match found {
                Some(at) => at,
                None if self.ended => self.buffer.len(),
                None => self.buffer.len().saturating_sub(delimiter.len()),
            };
            let before_cr = match found {
                Some(at) if at > 0 && self.buffer.get(at - 1) == Some(&b'\r') => at - 1,
                _ => ready,
            };
            let room = keep.saturating_sub(content.kept.len());
            content.kept.extend(self.buffer.iter().take(before_cr.min(room)));
            content.size += before_cr as u64;
            content.found = found.is_some();
            self.skip(if content.found { ready + delimiter.len() } else { ready });
            if content.found || self.ended {
                return Ok(content);
            }
        }
    }

    /// All that is left; keeps up to `keep` bytes of it.
    fn rest(&mut self, keep: usize) -> io::Result<Content> {
        let mut content = Content { size: 0, kept: Vec::new(), found: false };
        loop {
            self.fill(1)?;
            let room = keep.saturating_sub(content.kept.len());
            content.kept.extend(self.buffer.iter().take(room));
            content.size += self.buffer.len() as u64;
            self.skip(self.buffer.len());
            if self.ended {
                return Ok(content);
            }
        }
    }

    /// After a boundary: `--` closes, anything else up to the line end is padding. None when the body ends here.
    fn boundary_line(&mut self) -> io::Result<Option<bool>> {
        self.fill(256)?;
        if self.buffer.starts_with(b"--") {
            return Ok(Some(true));
        }
        let Some(end) = self.buffer.iter().take(256).position(|byte| *byte == b'\n') else { return Ok(None) };
        self.skip(end + 1);
        Ok(Some(false))
    }

    /// The part's header lines up to the empty one. None when there is no end to them.
    fn part_head(&mut self) -> io::Result<Option<Part>> {
        self.fill(MAX_PART_HEAD)?;
        let mut part = Part::default();
        let mut used = 0;
        loop {
            let rest = self.buffer.get(used..MAX_PART_HEAD.min(self.buffer.len())).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
            let line = rest.get(..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            used += end + 1;
            if line.is_empty() {
                break;
            }
            part.header(&String::from_utf8_lossy(line));
        }
        self.skip(used);
        Ok(Some(part))
    }
}

impl Part {
    /// An upload, though it has no file name: opaque, like a file.
    fn is_media(&self) -> bool {
        let starts = ["image/", "video/", "audio/", "application/octet-stream"];
        let said = self.media_type.as_deref().unwrap_or("").to_ascii_lowercase();
        starts.iter().any(|start| said.starts_with(start))
    }

    fn header(&mut self, line: &str) {
        let Some((name, value)) = line.split_once(':') else { return };
        if name.trim().eq_ignore_ascii_case("content-disposition") {
            self.name = parameter(value, "name");
            let extended = parameter(value, "filename*").and_then(|text| {
                let (_charset, rest) = text.split_once('\'')?;
                let (_language, name) = rest.split_once('\'')?;
                // RFC 8187 leaves `+` alone; a form does not.
                let (bytes, _origins) = super::form::decode(name.replace('+', "%2B").as_bytes());
                Some(String::from_utf8_lossy(&bytes).into_owned())
            });
            self.filename = extended.or_else(|| parameter(value, "filename"));
        } else if name.trim().eq_ignore_ascii_case("content-type") {
            self.media_type = Some(value.trim().to_owned());
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let (first, rest) = wanted.split_first()?;
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| byte == first)?;
        if bytes.get(at + 1..)?.starts_with(rest) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
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
}
