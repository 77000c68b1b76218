//! The bytes of a spool segment: a header, then frames, each one submission sealed for itself.
//!
//! ```text
//! segment = header header frame*          the header stands twice, so that one bad byte does not lose the key
//! header  = "muniment.spool.1" (16) ‖ opened_at, micros, i64 (8) ‖ salt (32) ‖ check (8)
//! frame   = marker (8) ‖ number, u64 (8) ‖ length of payload, u32 (4) ‖ check (4) ‖ ciphertext ‖ tag (16)
//! ```
//!
//! Numbers are big endian. A check is the start of the SHA-256 of the bytes before it: it tells "cut off" from "changed". The
//! frame header is the additional data of AES-256-GCM, and the frame's number is its nonce.
//!
//! Invariant: one segment key never seals two payloads under one number. A segment has a random salt of its own, is written
//! once from its start, and is never opened again for writing. Pure: no file, no clock, no randomness.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use super::disk::SegmentNumber;
use crate::record::{Digest, MasterKey, Timestamp};

/// Bytes of one header; a segment begins with two of them.
pub(crate) const HEADER: usize = 64;
/// Bytes of a frame besides its payload.
pub(crate) const OVERHEAD: usize = FRAME_HEADER + TAG;
pub(crate) const FRAME_HEADER: usize = 24;
pub(crate) const TAG: usize = 16;
/// The largest payload a frame takes; content beyond it travels as a blob.
pub(crate) const MAX_PAYLOAD: usize = 16 << 20;
pub(crate) const MARKER: [u8; 8] = *b"\xf5mspool\n";
const MAGIC: [u8; 16] = *b"muniment.spool.1";

/// A segment could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Neither copy of the header is whole.
    #[error("both copies of the segment header are damaged")]
    Header,
    /// The payload is larger than a frame takes.
    #[error("{0} bytes are over the bound of a spool frame")]
    TooLarge(usize),
    /// The cipher refused (a wrong key, or changed bytes).
    #[error("the frame does not open under the spool key")]
    Cipher,
}

/// The key of all spool segments of this service, derived from the master key that wraps when a segment is begun.
pub struct SpoolKey(MasterKey);

impl SpoolKey {
    /// From a master key that never changes.
    #[must_use]
    pub fn derive(master: &[u8; 32]) -> Self {
        Self(MasterKey::new(*master))
    }

    /// From the firm's, whichever that is at the time: what was sealed under a former one opens as long as that one is given.
    #[must_use]
    pub const fn following(master: MasterKey) -> Self {
        Self(master)
    }

    /// The number is part of the key: a segment under another name does not open, so that their order cannot be changed.
    pub(crate) fn segment(&self, number: SegmentNumber, salt: &[u8; 32]) -> Result<SegmentKey, FrameError> {
        segment_key(&self.0.as_bytes(), number, salt)
    }

    /// The key for each master key that it may have been sealed under, the newest first.
    pub(crate) fn segments(&self, number: SegmentNumber, salt: &[u8; 32]) -> Result<Vec<SegmentKey>, FrameError> {
        self.0.every().iter().map(|master| segment_key(master, number, salt)).collect()
    }
}

fn segment_key(master: &[u8; 32], number: SegmentNumber, salt: &[u8; 32]) -> Result<SegmentKey, FrameError> {
    let number = number.0.to_be_bytes();
    let info: [&[u8]; 3] = [b"segment", &number, salt];
    let derived = Salt::new(HKDF_SHA256, b"muniment spool v1").extract(master);
    let okm = derived.expand(&info, &AES_256_GCM).map_err(|_source| FrameError::Cipher)?;
    Ok(SegmentKey(LessSafeKey::new(UnboundKey::from(okm))))
}

impl std::fmt::Debug for SpoolKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpoolKey")
    }
}

/// The key of one segment.
pub(crate) struct SegmentKey(LessSafeKey);

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) opened_at: Timestamp,
    pub(crate) salt: [u8; 32],
}

impl SegmentHeader {
    /// Both copies.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut one = Vec::with_capacity(HEADER * 2);
        one.extend_from_slice(&MAGIC);
        one.extend_from_slice(&self.opened_at.unix_micros().to_be_bytes());
        one.extend_from_slice(&self.salt);
        let check: [u8; 8] = check(&one);
        one.extend_from_slice(&check);
        one.extend_from_within(..);
        one
    }

    /// The first whole copy.
    pub(crate) fn decode(segment: &[u8]) -> Result<Self, FrameError> {
        segment.chunks_exact(HEADER).take(2).find_map(Self::decode_one).ok_or(FrameError::Header)
    }

    fn decode_one(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<16>()?;
        let (micros, rest) = rest.split_first_chunk::<8>()?;
        let (salt, rest) = rest.split_first_chunk::<32>()?;
        let (sum, _) = rest.split_first_chunk::<8>()?;
        let covered = bytes.get(..HEADER - 8)?;
        if *magic != MAGIC || *sum != check::<8>(covered) {
            return None;
        }
        let opened_at = Timestamp::from_unix_micros(i64::from_be_bytes(*micros)).ok()?;
        Some(Self { opened_at, salt: *salt })
    }
}

/// A frame header that is whole: its check fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) number: u64,
    pub(crate) length: usize,
    bytes: [u8; FRAME_HEADER],
}

impl FrameHeader {
    fn new(number: u64, length: usize) -> Result<Self, FrameError> {
        let wide = u32::try_from(length).ok().filter(|_| length <= MAX_PAYLOAD).ok_or(FrameError::TooLarge(length))?;
        let mut bytes = [0; FRAME_HEADER];
        let (covered, sum) = bytes.split_at_mut(FRAME_HEADER - 4);
        let parts = MARKER.into_iter().chain(number.to_be_bytes()).chain(wide.to_be_bytes());
        covered.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        sum.copy_from_slice(&check::<4>(covered));
        Ok(Self { number, length, bytes })
    }

    /// Reads one from the start of `bytes`; none when it is cut short or was changed.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (whole, _) = bytes.split_first_chunk::<FRAME_HEADER>()?;
        let (covered, sum) = whole.split_last_chunk::<4>()?;
        let (marker, rest) = covered.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (length, _) = rest.split_first_chunk::<4>()?;
        if *marker != MARKER || *sum != check::<4>(covered) {
            return None;
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= MAX_PAYLOAD)?;
        Some(Self { number: u64::from_be_bytes(*number), length, bytes: *whole })
    }

    /// Bytes of the whole frame on disk.
    pub(crate) const fn frame(&self) -> usize {
        OVERHEAD + self.length
    }
}

impl SegmentKey {
    /// Appends the frame of `payload` to `out`. The caller never uses a number twice.
    pub(crate) fn seal(&self, number: u64, payload: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
        let header = FrameHeader::new(number, payload.len())?;
        let start = out.len();
        out.reserve(header.frame());
        out.extend_from_slice(&header.bytes);
        out.extend_from_slice(payload);
        let sealed = out
            .get_mut(start + FRAME_HEADER..)
            .ok_or(FrameError::Cipher)
            .and_then(|body| {
                self.0
                    .seal_in_place_separate_tag(nonce(number), Aad::from(header.bytes), body)
                    .map_err(|_source| FrameError::Cipher)
            })
            .inspect_err(|_| out.truncate(start))?;
        out.extend_from_slice(sealed.as_ref());
        Ok(())
    }

    /// Opens the frame at the start of `bytes`.
    pub(crate) fn open(&self, header: &FrameHeader, bytes: &[u8]) -> Result<Vec<u8>, FrameError> {
        let sealed = bytes.get(FRAME_HEADER..header.frame()).ok_or(FrameError::Cipher)?;
        let (body, tag) = sealed.split_at_checked(header.length).ok_or(FrameError::Cipher)?;
        let mut payload = vec![0; header.length];
        self.0
            .open_separate_gather(nonce(header.number), Aad::from(header.bytes), body, tag, &mut payload)
            .map_err(|_source| FrameError::Cipher)?;
        Ok(payload)
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    for (to, from) in bytes.iter_mut().rev().zip(number.to_le_bytes()) {
        *to = from;
    }
    Nonce::assume_unique_for_key(bytes)
}

fn check<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let digest = Digest::of(&[bytes]);
    std::array::from_fn(|at| digest.as_bytes().get(at).copied().unwrap_or_default())
}
