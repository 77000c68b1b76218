//! Answers in our own name: refusals.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use tokio::time::timeout;

use super::conn::Conn;
use super::ends::DeviceEnd;
use super::fault::Fault;
use super::fields::Fields;
use super::framing::{Framing, Signals};
use super::hop::Asked;
use super::message::Answered;
use crate::proxy::refuse::{Page, Refused, page};

/// Time for a refusal to be taken by the device.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time and bytes for a device to notice that it is refused, before its connection is cut.
const LINGER: Duration = Duration::from_secs(2);

/// Sends a refusal.
pub(crate) async fn refuse(device: &mut DeviceEnd<'_>, refused: &Refused, accept: Option<&[u8]>) -> Result<(), Fault> {
    let Page { status, fields, body } = page(refused, accept);
    let mut headers = HeaderMap::with_capacity(fields.len() + 1);
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value)) {
            headers.append(name, value);
        }
    }
    headers.append(http::header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let bodiless = device.is_head();
    let answer = Answered {
        status,
        reason: Bytes::new(),
        version: Version::HTTP_11,
        fields: Fields::Map(headers),
        framing: if bodiless { Framing::None } else { Framing::Length(body.len() as u64) },
        signals: Signals { needs_rewrite: true, ..Signals::default() },
        own: true,
    };
    let sending = async {
        device.send_head(&answer)?;
        let mut body = if bodiless { Bytes::new() } else { Bytes::from(body) };
        poll_fn(|cx| device.poll_data(cx, &mut body, true)).await?;
        poll_fn(|cx| device.poll_finish(cx, None)).await?;
        poll_fn(|cx| device.poll_flush(cx)).await
    };
    timeout(PATIENCE, sending).await.unwrap_or(Err(Fault::Stalled))
}

/// Refuses on an HTTP/1 connection whose request could not even be read.
pub(crate) async fn refuse_unread(conn: &mut Conn, refused: &Refused) -> Result<(), Fault> {
    let asked = Asked { version: Version::HTTP_11, is_head: false, persists: false };
    let mut device = DeviceEnd::Http1 { conn, asked };
    refuse(&mut device, refused, None).await
}

/// Takes the rest of an HTTP/2 request that was refused before its end, so that the device can read the answer although it was still
/// sending. RFC 9113 §8.1 lets us ask it to stop instead (RST_STREAM without an error), but clients that are in the middle of a
/// write take that for a broken stream and never look at the answer.
pub(crate) async fn linger_stream(device: &mut DeviceEnd<'_>) {
    let ending = async { while let Ok(Some(_dropped)) = poll_fn(|cx| device.poll_frame(cx)).await {} };
    // The device had its time; whatever it still sends, the stream ends with it.
    let _in_time: Result<(), tokio::time::error::Elapsed> = timeout(LINGER, ending).await;
}

/// Ends an HTTP/1 connection so that the device can read the last answer although it was still sending (RFC 9112 §9.6).
pub(crate) async fn linger(conn: &mut Conn) {
    let ending = async {
        if poll_fn(|cx| conn.poll_shutdown(cx)).await.is_ok() {
            poll_fn(|cx| conn.poll_drain(cx)).await;
        }
    };
    // The device had its time; the connection is dropped either way.
    let _in_time: Result<(), tokio::time::error::Elapsed> = timeout(LINGER, ending).await;
}
