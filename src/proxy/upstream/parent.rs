//! The parent proxy: a tunnel through it to the origin.

use std::future::poll_fn;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use http::Method;
use secrecy::{ExposeSecret as _, SecretString};

use crate::exchange::Authority;
use crate::proxy::http::conn::Conn;
use crate::proxy::io::{BoxIo, Rewound};
use crate::proxy::refuse::{Refuse, Refused};

/// Asks the parent for a tunnel. The caller bounds the time.
pub(super) async fn connect(io: BoxIo, authority: &Authority, login: Option<&SecretString>) -> Result<BoxIo, Refused> {
    let mut conn = Conn::new(io, BytesMut::new());
    let queue = conn.head_queue();
    queue.extend_from_slice(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").as_bytes());
    if let Some(login) = login {
        let credential = STANDARD.encode(login.expose_secret());
        queue.extend_from_slice(format!("Proxy-Authorization: Basic {credential}\r\n").as_bytes());
    }
    queue.extend_from_slice(b"\r\n");
    let broken = |error| Refused::because(Refuse::ParentUnreachable, &error);
    poll_fn(|cx| conn.poll_flush(cx)).await.map_err(broken)?;
    loop {
        let answer = poll_fn(|cx| conn.poll_response(cx, &Method::CONNECT)).await.map_err(broken)?;
        let status = answer.ok_or_else(|| Refused::new(Refuse::ParentUnreachable))?.status;
        if status.is_informational() {
            continue;
        }
        if !status.is_success() {
            return Err(Refused::with(Refuse::ParentRefused, format!("it answered {}", status.as_u16())));
        }
        let (io, first) = conn.into_parts();
        return Ok(Rewound::over(io, first));
    }
}
