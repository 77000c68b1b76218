//! Undoes a content coding while the bytes come, into a sink that bounds what it keeps.
//!
//! Only endless responses are decoded here, because they cannot wait for their end; everything else is kept as it was sent and
//! decoded where it is read.

use std::io::{self, Write};

/// A decoder that writes into `S`.
pub(crate) enum Uncoder<S: Write> {
    Identity(S),
    Gzip(Box<flate2::write::MultiGzDecoder<S>>),
    Deflate(Box<flate2::write::ZlibDecoder<S>>),
    Brotli(Box<brotli::DecompressorWriter<S>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, S>>),
}

impl<S: Write> Uncoder<S> {
    /// For one coding; none where it is unknown, or several lie over each other.
    pub(crate) fn new(coding: Option<&[u8]>, sink: S) -> Option<Self> {
        let coding = coding.unwrap_or_default().trim_ascii().to_ascii_lowercase();
        Some(match coding.as_slice() {
            b"" | b"identity" => Self::Identity(sink),
            b"gzip" | b"x-gzip" => Self::Gzip(Box::new(flate2::write::MultiGzDecoder::new(sink))),
            b"deflate" => Self::Deflate(Box::new(flate2::write::ZlibDecoder::new(sink))),
            b"br" => Self::Brotli(Box::new(brotli::DecompressorWriter::new(sink, 4096))),
            b"zstd" => {
                let mut decoder = zstd::stream::write::Decoder::new(sink).ok()?;
                // RFC 9659: a window for content coding is at most 8 MiB.
                decoder.window_log_max(23).ok()?;
                Self::Zstd(Box::new(decoder))
            }
            _ => return None,
        })
    }

    /// Decodes and passes on what these bytes complete; after an error, what was complete before the fault has been passed on.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // These forget what they have decoded in the call that fails, so each call gets one byte; streams of events are slow.
        let most = if matches!(self, Self::Zstd(_) | Self::Brotli(_)) { 1 } else { bytes.len().max(1) };
        let decoder: &mut dyn Write = match self {
            Self::Identity(sink) => sink,
            Self::Gzip(decoder) => decoder,
            Self::Deflate(decoder) => decoder,
            Self::Brotli(decoder) => decoder,
            Self::Zstd(decoder) => decoder,
        };
        if let Err(error) = bytes.chunks(most).try_for_each(|part| decoder.write_all(part)) {
            // What was decoded before the fault may still be inside: a write (of anything, an empty one is not looked at) hands that on
            // first. Its own result is the same fault.
            let _same_fault: io::Result<usize> = decoder.write(&[0]);
            return Err(error);
        }
        // A decoder keeps finished bytes back until it is flushed, and an event must not wait for the next one.
        decoder.flush()
    }

    pub(crate) fn sink(&mut self) -> &mut S {
        match self {
            Self::Identity(sink) => sink,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_comes_out_as_soon_as_its_bytes_are_there() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
        let steps = |encoder: &mut dyn FnMut(&[u8]) -> Vec<u8>| [b"one".as_slice(), b"two", b"three"].map(encoder);
        let cases = [
            (
                "gzip",
                steps(&mut |data| {
                    gzip.write_all(data).unwrap();
                    gzip.flush().unwrap();
                    std::mem::take(gzip.get_mut())
                }),
            ),
            (
                "deflate",
                steps(&mut |data| {
                    deflate.write_all(data).unwrap();
                    deflate.flush().unwrap();
                    std::mem::take(deflate.get_mut())
                }),
            ),
            (
                "zstd",
                steps(&mut |data| {
                    zstd.write_all(data).unwrap();
                    zstd.flush().unwrap();
                    std::mem::take(zstd.get_mut())
                }),
            ),
            (
                "br",
                steps(&mut |data| {
                    brotli.write_all(data).unwrap();
                    brotli.flush().unwrap();
                    std::mem::take(brotli.get_mut())
                }),
            ),
        ];
        for (coding, parts) in cases {
            let mut uncoder = Uncoder::new(Some(coding.as_bytes()), Vec::new()).unwrap();
            let mut seen = Vec::new();
            for (part, whole) in parts.iter().zip(["one", "onetwo", "onetwothree"]) {
                uncoder.write(part).unwrap();
                seen.clone_from(uncoder.sink());
                assert_eq!(seen, whole.as_bytes(), "{coding}");
            }
        }
    }

    #[test]
    fn an_unknown_coding_is_no_decoder_and_noise_is_an_error() {
        assert!(Uncoder::new(Some(b"gzip, br"), Vec::new()).is_none());
        assert!(Uncoder::new(Some(b"lz77"), Vec::new()).is_none());
        let mut uncoder = Uncoder::new(Some(b"gzip"), Vec::new()).unwrap();
        assert!(uncoder.write(&[7; 4096]).is_err());
    }

    #[test]
    fn what_was_whole_before_a_fault_comes_out_although_the_fault_came_in_the_same_piece() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
        let coded: [(&[u8], Vec<u8>); 4] = [
            (b"gzip", {
                gzip.write_all(b"whole").unwrap();
                gzip.flush().unwrap();
                gzip.get_ref().clone()
            }),
            (b"deflate", {
                deflate.write_all(b"whole").unwrap();
                deflate.flush().unwrap();
                deflate.get_ref().clone()
            }),
            (b"zstd", {
                zstd.write_all(b"whole").unwrap();
                zstd.flush().unwrap();
                zstd.get_ref().clone()
            }),
            (b"br", {
                brotli.write_all(b"whole").unwrap();
                brotli.flush().unwrap();
                brotli.get_ref().clone()
            }),
        ];
        for (coding, mut bytes) in coded {
            bytes.extend_from_slice(&[0xff; 64]);
            let mut uncoder = Uncoder::new(Some(coding), Vec::new()).unwrap();
            assert!(uncoder.write(&bytes).is_err(), "{}", String::from_utf8_lossy(coding));
            assert!(uncoder.sink().starts_with(b"whole"), "{}", String::from_utf8_lossy(coding));
        }
    }
}
