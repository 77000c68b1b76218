//! `multipart/form-data` (RFC 7578), read as a stream: fields into memory, files by their place only.
//!
//! Tolerant where clients differ (lower-case part headers, no space after the colon, bare LF, a missing last boundary),
//! bounded everywhere: number of parts, size of a part's head, size of a field.

use std::io::{self, Read};
use std::ops::Range;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem;

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
            let found = memmem::find(&self.buffer, delimiter);
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

#[cfg(test)]
mod tests;
