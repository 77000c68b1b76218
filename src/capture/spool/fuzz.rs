//! What must hold of a spool that was damaged in any way. For `crate::fuzzing` only.

use super::codec;
use super::disk::SegmentNumber;
use super::frame::{SegmentHeader, SpoolKey};
use super::segment;
use crate::record::Timestamp;

/// Whatever is done to a segment, what comes out of it is what was put in, in order. The first bytes say where the rest is written
/// over it, or put in.
pub(crate) fn spool_segment(data: &[u8]) {
    const NUMBER: SegmentNumber = SegmentNumber(4);
    let key = SpoolKey::derive(&[7; 32]);
    let _any = segment::read(NUMBER, data, &key);
    segment::count(data);
    let [high, low, kind, patch @ ..] = data else { return };
    let header = SegmentHeader { opened_at: Timestamp::EPOCH, salt: [9; 32] };
    let Ok(segment_key) = key.segment(NUMBER, &header.salt) else { return };
    let payloads: Vec<Vec<u8>> = (0_u8..4).map(|n| vec![n; 20 + usize::from(n)]).collect();
    let mut bytes = header.encode();
    for (number, payload) in payloads.iter().enumerate() {
        assert!(segment_key.seal(number as u64, payload, &mut bytes).is_ok());
    }
    let whole = bytes.clone();
    let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
    match kind % 3 {
        0 => bytes.iter_mut().skip(at).zip(patch).for_each(|(byte, patch)| *byte = *patch),
        1 => drop(bytes.splice(at..at, patch.iter().copied())),
        _ => bytes.truncate(at),
    }
    let Ok(reading) = segment::read(NUMBER, &bytes, &key) else { return };
    let mut sealed = payloads.iter();
    assert!(reading.payloads.iter().all(|payload| sealed.any(|sealed| sealed == payload)));
    // A cut in the middle of the last frame is no damage: nobody was told that it is kept. Any other loss is noticed.
    let lost = reading.payloads.len() < payloads.len();
    assert!(!lost || kind % 3 == 2 || reading.is_damaged() || reading.tail != segment::Tail::Whole || bytes == whole);
}

/// What can be read of a spooled submission is written again as it was understood.
pub(crate) fn spool_submission(data: &[u8]) {
    let Ok(submission) = codec::decode(data.to_vec()) else { return };
    let written = codec::encode(&submission);
    assert!(written.is_ok());
    let Ok(written) = written else { return };
    let again = codec::decode(written.to_vec());
    assert!(again.is_ok_and(|again| codec::encode(&again).is_ok_and(|twice| twice == written)));
}
