//! What must hold of WebSocket frames whatever bytes arrive. For `crate::fuzzing` only.

use bytes::BytesMut;

use super::frame::{FRAME_LIMIT, Kind, Sender, oversized, take};

/// Frames are cut where they end in any rhythm, their bytes go on as they came, and none is larger than the limit.
pub(crate) fn websocket(data: &[u8]) {
    for sender in [Sender::Device, Sender::Origin] {
        let cut = |size: usize| {
            let mut buffer = BytesMut::new();
            let mut frames = Vec::new();
            for part in data.chunks(size.max(1)) {
                buffer.extend_from_slice(part);
                loop {
                    match take(&mut buffer, sender) {
                        Ok(Some(frame)) => frames.push(frame),
                        Ok(None) => break,
                        Err(error) => return (frames, Some(error)),
                    }
                }
            }
            (frames, None)
        };
        let (frames, error) = cut(data.len());
        let mut at = 0;
        for frame in &frames {
            let end = at + frame.wire.len();
            assert_eq!(data.get(at..end), Some(frame.wire.as_ref()));
            at = end;
            let mut payload = Vec::new();
            frame.unmask_into(&mut payload);
            assert!(payload.len() < frame.wire.len() && payload.len() as u64 <= FRAME_LIMIT);
            let control = matches!(frame.kind, Kind::Close | Kind::Ping | Kind::Pong);
            assert!(!control || (frame.last && payload.len() <= 125));
        }
        let large = oversized(data.get(at..).unwrap_or_default(), sender);
        assert!(large.is_none_or(|large| error.is_some() && large.size > FRAME_LIMIT));
        let wires = |frames: &[super::frame::Frame]| frames.iter().map(|frame| frame.wire.clone()).collect::<Vec<_>>();
        let (dripped, fault) = cut(1);
        assert_eq!((wires(&dripped), fault), (wires(&frames), error));
    }
}
