//! Content codings (RFC 9110 §8.4.1): gzip, deflate in both flavours, br, zstd, and stacks of them.
//!
//! Output is capped and measured against its input, so a bomb costs at most the cap. What could be decoded before a fault
//! is given back with the fault: the reader decides what a broken body is worth.

use std::io::{self, Read};

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::Limits;

/// Codings one upon the other; more is an attack.
const MAX_STACK: usize = 4;

/// RFC 9659: no zstd content coding needs a window above 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How decoding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Whole.
    Complete,
    /// Cut off at the cap, or at a ratio that no honest text has.
    Bomb,
    /// The bytes are not what the header says, or end early.
    Corrupt,
    /// The header names a coding that we do not know, or too many.
    Unknown,
}

/// Decoded bytes and how far they reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// What came out before the end. With [`Ending::Unknown`]: the bytes as they were.
    pub bytes: Vec<u8>,
    /// Why it ended there.
    pub ending: Ending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Whether a body has any content coding.
#[must_use]
pub fn is_coded(headers: &HeaderMap) -> bool {
    names(headers).next().is_some()
}

fn names(headers: &HeaderMap) -> impl Iterator<Item = String> {
    headers
        .get_all(CONTENT_ENCODING)
        .into_iter()
        .flat_map(|value| value.to_str().unwrap_or("?").split(',').map(|name| name.trim().to_ascii_lowercase()))
        .filter(|name| !name.is_empty() && name != "identity")
}

/// Undoes the content codings that the headers name.
#[must_use]
pub fn decode(headers: &HeaderMap, body: &[u8], limits: &Limits) -> Decoded {
    let codings: Option<Vec<Coding>> = names(headers)
        .map(|name| match name.as_str() {
            "gzip" | "x-gzip" => Some(Coding::Gzip),
            "deflate" => Some(Coding::Deflate),
            "br" => Some(Coding::Brotli),
            "zstd" => Some(Coding::Zstd),
            _ => None,
        })
        .collect();
    let Some(codings) = codings.filter(|codings| codings.len() <= MAX_STACK) else {
        return Decoded { bytes: body.to_vec(), ending: Ending::Unknown };
    };
    let mut decoded = Decoded { bytes: body.to_vec(), ending: Ending::Complete };
    // Listed in the order of coding, so undone from the last.
    for coding in codings.into_iter().rev() {
        if decoded.ending != Ending::Complete {
            break;
        }
        decoded = undo(coding, &decoded.bytes, limits);
    }
    decoded
}

fn undo(coding: Coding, body: &[u8], limits: &Limits) -> Decoded {
    let ratio_cap = (body.len() as u64).saturating_mul(limits.ratio).max(limits.ratio_floor);
    let cap = ratio_cap.min(limits.text);
    match coding {
        Coding::Gzip => drain(flate2::bufread::MultiGzDecoder::new(body), cap),
        Coding::Deflate => deflate(body, cap),
        Coding::Brotli => drain(brotli::Decompressor::new(body, 4096), cap),
        Coding::Zstd => match zstd::stream::read::Decoder::with_buffer(body) {
            Ok(mut decoder) => match decoder.window_log_max(ZSTD_WINDOW_LOG_MAX) {
                Ok(()) => drain(decoder, cap),
                Err(_refused) => Decoded { bytes: Vec::new(), ending: Ending::Corrupt },
            },
            Err(_refused) => Decoded { bytes: Vec::new(), ending: Ending::Corrupt },
        },
    }
}

/// RFC 9110 says zlib; some senders omit the zlib wrapper (RFC 1951 bare), and receivers accept both.
fn deflate(body: &[u8], cap: u64) -> Decoded {
    let zlib = match body {
        [method, check, ..] => method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*check)) % 31 == 0,
        _ => false,
    };
    if zlib {
        let decoded = drain(flate2::bufread::ZlibDecoder::new(body), cap);
        if decoded.ending != Ending::Corrupt || !decoded.bytes.is_empty() {
            return decoded;
        }
    }
    drain(flate2::bufread::DeflateDecoder::new(body), cap)
}

fn drain(decoder: impl Read, cap: u64) -> Decoded {
    let mut bytes = Vec::new();
    let mut bounded = decoder.take(cap.saturating_add(1));
    let ending = match bounded.read_to_end(&mut bytes) {
        Ok(_size) => Ending::Complete,
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => Ending::Bomb,
        Err(_bad) => Ending::Corrupt,
    };
    if bytes.len() as u64 > cap {
        bytes.truncate(usize::try_from(cap).unwrap_or(usize::MAX));
        return Decoded { bytes, ending: Ending::Bomb };
    }
    Decoded { bytes, ending }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn coded(name: &str, body: &[u8]) -> Vec<u8> {
        match name {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            "zlib" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            "bare" => {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            "br" => {
                let mut out = Vec::new();
                let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 5, 22);
                encoder.write_all(body).unwrap();
                drop(encoder);
                out
            }
            _ => zstd::stream::encode_all(body, 3).unwrap(),
        }
    }

    fn headers(codings: &[&str]) -> HeaderMap {
        codings.iter().map(|coding| (CONTENT_ENCODING, coding.parse().unwrap())).collect()
    }

    const TEXT: &[u8] = b"{\"status\":\"one post, said once, coded in many ways\"}";

    #[test]
    fn every_coding_and_both_flavours_of_deflate_are_undone() {
        for (header, how) in [
            ("gzip", "gzip"),
            ("X-GZIP", "gzip"),
            ("deflate", "zlib"),
            ("deflate", "bare"),
            ("br", "br"),
            ("zstd", "zstd"),
        ] {
            let decoded = decode(&headers(&[header]), &coded(how, TEXT), &Limits::default());
            assert_eq!(decoded, Decoded { bytes: TEXT.to_vec(), ending: Ending::Complete }, "{header} {how}");
        }
    }

    #[test]
    fn stacked_codings_are_undone_from_the_last() {
        let body = coded("br", &coded("gzip", TEXT));
        for names in [&["gzip, br"][..], &["gzip", "identity, br"][..]] {
            assert_eq!(decode(&headers(names), &body, &Limits::default()).bytes, TEXT, "{names:?}");
        }
        let five = headers(&["gzip,gzip,gzip,gzip,gzip"]);
        assert_eq!(decode(&five, &body, &Limits::default()).ending, Ending::Unknown);
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_cap() {
        let limits = Limits { text: 8 << 20, ..Limits::default() };
        for how in ["gzip", "br", "zstd"] {
            let bomb = coded(how, &vec![0; 24 << 20]);
            let decoded = decode(&headers(&[how]), &bomb, &limits);
            assert_eq!(decoded.ending, Ending::Bomb, "{how}");
            assert!(decoded.bytes.len() <= 8 << 20, "{how}");
        }
        let twice = coded("gzip", &coded("gzip", &vec![0; 24 << 20]));
        let decoded = decode(&headers(&["gzip, gzip"]), &twice, &limits);
        assert_eq!(decoded.ending, Ending::Bomb);
    }

    #[test]
    fn a_broken_body_gives_what_could_be_read_and_says_so() {
        let whole = coded("gzip", &TEXT.repeat(50));
        let cut = decode(&headers(&["gzip"]), &whole[..whole.len() - 9], &Limits::default());
        assert_eq!(cut.ending, Ending::Corrupt);
        let plain = decode(&headers(&["gzip"]), TEXT, &Limits::default());
        assert_eq!(plain.ending, Ending::Corrupt);
        let unknown = decode(&headers(&["aws-chunked"]), TEXT, &Limits::default());
        assert_eq!(unknown, Decoded { bytes: TEXT.to_vec(), ending: Ending::Unknown });
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200), stack in "(gzip|deflate|br|zstd)(, ?(gzip|deflate|br|zstd)){0,2}") {
            let decoded = decode(&headers(&[&stack]), &body, &Limits::default());
            proptest::prop_assert!(decoded.bytes.len() as u64 <= Limits::default().text);
        }
    }
}
