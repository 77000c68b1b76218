//! Reading a segment back after a stop of any kind: what is whole, what is missing, how it ends.
//!
//! Invariant: every frame that opens is given back, in order, whatever stands before it; frames that do not open are counted.
//! A segment that was cut while its last frame was being written is *torn*: nobody had been told that this frame is kept, so
//! nothing is lost. Anything else is *damage* and becomes a gap. Pure.

use super::disk::SegmentNumber;
use super::frame::{FRAME_HEADER, FrameError, FrameHeader, HEADER, MARKER, OVERHEAD, SegmentHeader, SpoolKey};
use crate::record::Timestamp;

/// False starts looked at while searching for the next whole frame behind damage (each may cost one decryption).
const MAX_CANDIDATES: usize = 4096;

/// How a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// With its last frame.
    Whole,
    /// In the middle of a frame that nobody was told of.
    Torn,
    /// With bytes that are no frame.
    Damaged,
}

/// What a segment holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Reading {
    /// When it was begun.
    pub opened_at: Timestamp,
    /// The payloads that open, in the order they were written.
    pub payloads: Vec<Vec<u8>>,
    /// Frames known to have been there (a later one has a higher number) that do not open.
    pub missing: u64,
    /// Bytes between whole frames that belong to none.
    pub skipped: u64,
    /// How it ends.
    pub tail: Tail,
}

impl Reading {
    /// Something that may have been promised is not here.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.missing > 0 || self.skipped > 0 || self.tail == Tail::Damaged
    }
}

/// Reads a whole segment.
///
/// # Errors
/// When no copy of its header is whole: then nothing in it can be opened. A segment shorter than its headers is torn (its
/// first frame is written only after they are durable) and reads as empty.
pub(crate) fn read(number: SegmentNumber, segment: &[u8], key: &SpoolKey) -> Result<Reading, FrameError> {
    let header = match SegmentHeader::decode(segment) {
        Ok(header) => header,
        Err(_) if segment.len() < HEADER * 2 || segment.iter().all(|byte| *byte == 0) => {
            return Ok(Reading {
                opened_at: Timestamp::EPOCH,
                payloads: Vec::new(),
                missing: 0,
                skipped: 0,
                tail: Tail::Torn,
            });
        }
        Err(error) => return Err(error),
    };
    let keys = key.segments(number, &header.salt)?;
    let mut reading =
        Reading { opened_at: header.opened_at, payloads: Vec::new(), missing: 0, skipped: 0, tail: Tail::Whole };
    let mut rest = segment.get(HEADER * 2..).unwrap_or_default();
    let mut expected = 0;
    let open = |bytes: &[u8], expected: u64| {
        let header = FrameHeader::decode(bytes).filter(|header| header.number >= expected)?;
        keys.iter().find_map(|key| key.open(&header, bytes).ok()).map(|payload| (header, payload))
    };
    while !rest.is_empty() {
        let Some((skipped, (header, payload))) =
            candidates(rest).find_map(|at| Some((at, open(rest.get(at..)?, expected)?)))
        else {
            reading.tail = tail(rest);
            break;
        };
        reading.missing += header.number - expected;
        reading.skipped += skipped as u64;
        reading.payloads.push(payload);
        expected = header.number + 1;
        rest = rest.get(skipped + header.frame()..).unwrap_or_default();
    }
    Ok(reading)
}

/// Frames in a segment, by their headers alone: cheap, for the count at start.
pub(crate) fn count(segment: &[u8]) -> u64 {
    let mut rest = segment.get(HEADER * 2..).unwrap_or_default();
    let mut frames = 0;
    while let Some(header) = FrameHeader::decode(rest) {
        frames += 1;
        rest = rest.get(header.frame()..).unwrap_or_default();
    }
    frames
}

/// Offsets where a frame may begin: the start, then every further marker.
fn candidates(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let markers = bytes.windows(MARKER.len()).enumerate().skip(1).filter(|(_, window)| **window == MARKER);
    std::iter::once(0).chain(markers.map(|(at, _)| at)).take(MAX_CANDIDATES)
}

/// What the bytes after the last whole frame are.
fn tail(rest: &[u8]) -> Tail {
    // A file system may have lengthened the file before the bytes arrived: zeros are "not written".
    if rest.iter().all(|byte| *byte == 0) {
        return Tail::Torn;
    }
    match FrameHeader::decode(rest) {
        Some(header) if rest.len() < header.frame() => Tail::Torn,
        Some(_) => Tail::Damaged,
        None if rest.len() < FRAME_HEADER && MARKER.iter().zip(rest).all(|(marker, byte)| marker == byte) => Tail::Torn,
        None => Tail::Damaged,
    }
}

/// Bytes a payload of this length takes on disk.
pub(crate) const fn on_disk(payload: usize) -> usize {
    payload + OVERHEAD
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NUMBER: SegmentNumber = SegmentNumber(4);

    fn segment(payloads: &[Vec<u8>]) -> (SpoolKey, Vec<u8>) {
        let key = SpoolKey::derive(&[7; 32]);
        let header = SegmentHeader { opened_at: Timestamp::EPOCH, salt: [9; 32] };
        let segment_key = key.segment(NUMBER, &header.salt).unwrap();
        let mut bytes = header.encode();
        for (number, payload) in payloads.iter().enumerate() {
            segment_key.seal(number as u64, payload, &mut bytes).unwrap();
        }
        (key, bytes)
    }

    fn is_subsequence(part: &[Vec<u8>], whole: &[Vec<u8>]) -> bool {
        let mut whole = whole.iter();
        part.iter().all(|one| whole.any(|other| other == one))
    }

    #[test]
    fn another_key_opens_nothing() {
        let (_, bytes) = segment(&[b"words".to_vec()]);
        let reading = read(NUMBER, &bytes, &SpoolKey::derive(&[8; 32])).unwrap();
        assert_eq!((reading.payloads.len(), reading.tail), (0, Tail::Damaged));
    }

    #[test]
    fn what_was_sealed_before_a_rotation_opens_as_long_as_the_former_key_is_given() {
        let (_, bytes) = segment(&[b"words".to_vec()]);
        let secret = |byte| zeroize::Zeroizing::new([byte; 32]);
        let secrets = crate::record::MasterSecrets { current: secret(8), former: vec![secret(6), secret(7)] };
        let reading = read(NUMBER, &bytes, &SpoolKey::following(crate::record::MasterKey::of(&secrets))).unwrap();
        assert_eq!((reading.payloads, reading.tail), (vec![b"words".to_vec()], Tail::Whole));
    }

    #[test]
    fn a_segment_under_another_name_opens_nothing() {
        let (key, bytes) = segment(&[b"words".to_vec()]);
        assert!(read(SegmentNumber(5), &bytes, &key).unwrap().is_damaged());
    }

    #[test]
    fn a_payload_is_not_readable_in_the_file() {
        let (_, bytes) = segment(&[b"a very private sentence".to_vec()]);
        assert!(!bytes.windows(7).any(|window| window == b"private"));
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_read_back(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20)) {
            let (key, bytes) = segment(&payloads);
            let reading = read(NUMBER, &bytes, &key).unwrap();
            prop_assert_eq!(count(&bytes), payloads.len() as u64);
            prop_assert_eq!(&reading.payloads, &payloads);
            prop_assert!(!reading.is_damaged() && reading.tail == Tail::Whole);
        }

        #[test]
        fn a_segment_cut_anywhere_gives_back_every_whole_frame_and_no_damage(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..10), cut in any::<prop::sample::Index>(), zeros in 0_usize..40,
        ) {
            let (key, mut bytes) = segment(&payloads);
            bytes.truncate(cut.index(bytes.len()));
            let whole = {
                let mut end = HEADER * 2;
                payloads.iter().take_while(|payload| { end += on_disk(payload.len()); end <= bytes.len() }).count()
            };
            let at_boundary = bytes.len() == HEADER * 2 + payloads[..whole].iter().map(|payload| on_disk(payload.len())).sum::<usize>();
            if at_boundary { bytes.extend(std::iter::repeat_n(0, zeros)); }
            let reading = read(NUMBER, &bytes, &key).unwrap();
            prop_assert_eq!(&reading.payloads[..], &payloads[..whole]);
            prop_assert!(!reading.is_damaged(), "{:?}", reading.tail);
        }

        #[test]
        fn a_changed_byte_loses_at_most_its_own_frame_and_is_noticed(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 1..10), at in any::<prop::sample::Index>(), flip in 1_u8..,
        ) {
            let (key, mut bytes) = segment(&payloads);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let reading = read(NUMBER, &bytes, &key).unwrap();
            prop_assert!(is_subsequence(&reading.payloads, &payloads));
            prop_assert!(reading.payloads.len() + 1 >= payloads.len());
            if at >= HEADER * 2 {
                prop_assert_eq!(reading.payloads.len() + 1, payloads.len());
                prop_assert!(reading.is_damaged());
            }
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), splice in any::<prop::sample::Index>()) {
            let (key, mut whole) = segment(&[b"one".to_vec(), b"two".to_vec()]);
            let at = splice.index(whole.len());
            whole.splice(at.., bytes.iter().copied());
            for bytes in [&whole, &bytes] {
                if let Ok(reading) = read(NUMBER, bytes, &key) { prop_assert!(reading.payloads.len() <= 2); }
            }
        }

        #[test]
        fn frames_taken_out_swapped_or_doubled_are_noticed(from in 0_usize..5, to in 0_usize..5, double in any::<bool>()) {
            let payloads: Vec<Vec<u8>> = (0_u8..5).map(|n| vec![n; 10]).collect();
            let (key, bytes) = segment(&payloads);
            let frame = on_disk(10);
            let mut frames: Vec<Vec<u8>> = bytes[HEADER * 2..].chunks(frame).map(<[u8]>::to_vec).collect();
            if double { let again = frames[from].clone(); frames.insert(to, again); } else { frames.swap(from, to); }
            let moved: Vec<u8> = bytes[..HEADER * 2].iter().copied().chain(frames.into_iter().flatten()).collect();
            let reading = read(NUMBER, &moved, &key).unwrap();
            prop_assert!(is_subsequence(&reading.payloads, &payloads));
            prop_assert!(reading.is_damaged() || (from == to && !double));
        }
    }
}
