//! WebSocket frames (RFC 6455 §5), sans-I/O: cuts a stream into whole frames and checks each one.
//!
//! The frames are relayed as they came, mask and fragments included; only copies are unmasked and joined. Extensions are
//! declined at the handshake, so every reserved bit is an error.

use bytes::{Bytes, BytesMut};

/// Largest frame that is read whole. A larger one cannot be held, so it is not relayed.
pub(super) const FRAME_LIMIT: u64 = 16 << 20;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// Why a stream of frames is not gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a reserved bit or opcode is used")]
    Reserved,
    #[error("a frame is masked the wrong way")]
    Mask,
    #[error("a control frame is fragmented or longer than 125 bytes")]
    Control,
    #[error("a length is not written in its shortest form")]
    Length,
    #[error("a continuation without a beginning, or a beginning inside a message")]
    Sequence,
    #[error("a message is larger than what can be kept")]
    TooLarge,
}

impl FrameError {
    /// RFC 6455 §7.4.1.
    pub(super) const fn close_code(self) -> u16 {
        match self {
            Self::TooLarge => 1009,
            _ => 1002,
        }
    }
}

/// One frame, as it came.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) last: bool,
    /// Header and payload, to be relayed.
    pub(super) wire: Bytes,
    header: usize,
    mask: Option<[u8; 4]>,
}

impl Frame {
    /// Appends the payload, unmasked.
    pub(super) fn unmask_into(&self, payload: &mut Vec<u8>) {
        let masked = self.wire.get(self.header..).unwrap_or_default();
        match self.mask {
            None => payload.extend_from_slice(masked),
            Some(mask) => payload.extend(masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask)),
        }
    }
}

/// Who sends: a device masks, an origin does not (RFC 6455 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Device,
    Origin,
}

struct Header {
    kind: Kind,
    last: bool,
    mask: Option<[u8; 4]>,
    header: usize,
    payload: u64,
}

/// Takes the next whole frame off the front; none when more bytes are needed.
pub(super) fn take(buffer: &mut BytesMut, sender: Sender) -> Result<Option<Frame>, FrameError> {
    let Some(header) = read_header(buffer, sender)? else { return Ok(None) };
    if header.payload > FRAME_LIMIT {
        return Err(FrameError::TooLarge);
    }
    let total = header.header + usize::try_from(header.payload).map_err(|_source| FrameError::TooLarge)?;
    if buffer.len() < total {
        return Ok(None);
    }
    let wire = buffer.split_to(total).freeze();
    Ok(Some(Frame { kind: header.kind, last: header.last, wire, header: header.header, mask: header.mask }))
}

/// A frame too large to be read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Oversized {
    pub(super) kind: Kind,
    pub(super) last: bool,
    /// Header and payload.
    pub(super) size: u64,
}

/// The frame at the front, where it is sound but too large: what is needed to let it pass.
pub(super) fn oversized(bytes: &[u8], sender: Sender) -> Option<Oversized> {
    let header = read_header(bytes, sender).ok()??;
    let size = header.payload.saturating_add(header.header as u64);
    (header.payload > FRAME_LIMIT).then_some(Oversized { kind: header.kind, last: header.last, size })
}

fn read_header(bytes: &[u8], sender: Sender) -> Result<Option<Header>, FrameError> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(FrameError::Reserved);
    }
    let last = first & 0x80 != 0;
    let kind = match first & 0x0f {
        0 => Kind::Continuation,
        1 => Kind::Text,
        2 => Kind::Binary,
        8 => Kind::Close,
        9 => Kind::Ping,
        10 => Kind::Pong,
        _ => return Err(FrameError::Reserved),
    };
    let masked = second & 0x80 != 0;
    if masked != (sender == Sender::Device) {
        return Err(FrameError::Mask);
    }
    let short = second & 0x7f;
    let is_control = matches!(kind, Kind::Close | Kind::Ping | Kind::Pong);
    if is_control && (!last || short > 125) {
        return Err(FrameError::Control);
    }
    let (payload, rest, extended) = match short {
        126 => {
            let [a, b, rest @ ..] = rest else { return Ok(None) };
            (u64::from(u16::from_be_bytes([*a, *b])), rest, 2)
        }
        127 => {
            let Some((length, rest)) = rest.split_at_checked(8) else { return Ok(None) };
            (u64::from_be_bytes(<[u8; 8]>::try_from(length).unwrap_or_default()), rest, 8)
        }
        short => (u64::from(short), rest, 0),
    };
    let shortest = match extended {
        2 => payload > 125,
        8 => payload > 0xffff && payload >> 63 == 0,
        _ => true,
    };
    if !shortest {
        return Err(FrameError::Length);
    }
    let mask = if masked {
        let [a, b, c, d, ..] = rest else { return Ok(None) };
        Some([*a, *b, *c, *d])
    } else {
        None
    };
    let header = 2 + extended + if masked { 4 } else { 0 };
    Ok(Some(Header { kind, last, mask, header, payload }))
}

/// A close frame in our own name.
pub(super) fn close(code: u16, reason: &str, towards: Sender) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend(reason.bytes().take(123));
    let length = u8::try_from(payload.len()).unwrap_or(125);
    match towards {
        Sender::Device => [vec![0x88, length], payload].concat(),
        // Towards the origin we stand in the device's place, and a zero mask is a mask.
        Sender::Origin => [vec![0x88, 0x80 | length, 0, 0, 0, 0], payload].concat(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut wire = vec![first];
        match payload.len() {
            short @ 0..=125 => wire.push(bit | short as u8),
            middle @ 126..=0xffff => {
                wire.push(bit | 126);
                wire.extend((middle as u16).to_be_bytes());
            }
            long => {
                wire.push(bit | 127);
                wire.extend((long as u64).to_be_bytes());
            }
        }
        wire.extend(mask.into_iter().flatten());
        let mask = mask.unwrap_or_default();
        wire.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        wire
    }

    fn refused(bytes: &[u8], sender: Sender) -> FrameError {
        take(&mut BytesMut::from(bytes), sender).unwrap_err()
    }

    #[test]
    fn what_rfc_6455_forbids_is_refused() {
        let mask = [0x80, 0, 0, 0, 0];
        assert_eq!(refused(&[&[0xc1], &mask[..]].concat(), Sender::Device), FrameError::Reserved);
        assert_eq!(refused(&[&[0x83], &mask[..]].concat(), Sender::Device), FrameError::Reserved);
        assert_eq!(refused(&[0x81, 0], Sender::Device), FrameError::Mask);
        assert_eq!(refused(&[&[0x81], &mask[..]].concat(), Sender::Origin), FrameError::Mask);
        assert_eq!(refused(&[0x09, 0x80], Sender::Device), FrameError::Control);
        assert_eq!(refused(&[0x89, 126, 0, 126], Sender::Origin), FrameError::Control);
        assert_eq!(refused(&[0x81, 126, 0, 125], Sender::Origin), FrameError::Length);
        assert_eq!(refused(&[0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Sender::Origin), FrameError::Length);
        assert_eq!(refused(&[0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Sender::Origin), FrameError::Length);
        assert_eq!(refused(&[0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0], Sender::Origin), FrameError::TooLarge);
    }

    proptest! {
        #[test]
        fn a_frame_is_taken_whole_relayed_as_it_came_and_unmasked(
            payload in prop_oneof![proptest::collection::vec(any::<u8>(), 0..300), proptest::collection::vec(any::<u8>(), 65_530..65_540)],
            mask in any::<[u8; 4]>(),
            cut in any::<usize>(),
            from_device in any::<bool>(),
        ) {
            let sender = if from_device { Sender::Device } else { Sender::Origin };
            let wire = encode(0x82, from_device.then_some(mask), &payload);
            let mut buffer = BytesMut::from(&wire[..cut % wire.len()]);
            prop_assert!(take(&mut buffer, sender).unwrap().is_none());
            buffer.extend_from_slice(&wire[cut % wire.len()..]);
            buffer.extend_from_slice(b"\x8a");
            let frame = take(&mut buffer, sender).unwrap().unwrap();
            prop_assert_eq!(&frame.wire[..], &wire[..]);
            let mut unmasked = Vec::new();
            frame.unmask_into(&mut unmasked);
            prop_assert_eq!(unmasked, payload);
            prop_assert_eq!(buffer.len(), 1);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), from_device in any::<bool>()) {
            let sender = if from_device { Sender::Device } else { Sender::Origin };
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take(&mut buffer, sender) {}
        }

        #[test]
        fn our_own_close_is_a_frame(code in 1000_u16..1015, reason in "[a-z ]{0,200}") {
            for (towards, sender) in [(Sender::Device, Sender::Origin), (Sender::Origin, Sender::Device)] {
                let mut buffer = BytesMut::from(&close(code, &reason, towards)[..]);
                prop_assert_eq!(take(&mut buffer, sender).unwrap().unwrap().kind, Kind::Close);
                prop_assert!(buffer.is_empty());
            }
        }
    }
}
