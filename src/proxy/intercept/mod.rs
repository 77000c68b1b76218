//! Interception: the device's TLS ends here, with a leaf minted for the host it asked for.
//!
//! The origin was reached and has proved itself before this begins. Invariant: a leaf is minted for the host of the CONNECT
//! target and for no other; a device that names another host in its ClientHello is refused.

pub mod authority;
mod client_hello;
mod leaf;

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::AlertDescription;
use rustls::server::Acceptor;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

pub use leaf::{LeafError, Leaves};

use self::client_hello::Spoken;
use super::end::End;
use super::http::conn::Conn;
use super::http::site::Site;
use super::http::{answer, http1, http2};
use super::io::{BoxIo, Rewound};
use super::patience::Patience;
use super::refuse::{Refuse, Refused};
use crate::capture::GapCause;
use crate::exchange::Scheme;

/// Serves an intercepted tunnel to its end. `site` says what was dialled: TLS, or clear text on the port of `http`.
pub(crate) async fn serve(site: Arc<Site>, mut io: BoxIo, first: BytesMut, patience: &mut Patience) -> End {
    patience.allow(site.shared.limits.head_timeout);
    let (spoken, first) = client_hello::first_bytes(&mut io, first, patience).await;
    match (spoken, site.scheme) {
        (Spoken::Tls, Scheme::Https) => encrypted(site, Rewound::over(io, first), patience).await,
        // What browsers do for `ws://`: a tunnel to port 80, and clear text in it.
        (Spoken::Http1, Scheme::Http) => http1::serve(&site, io, first, patience).await,
        (Spoken::Http1 | Spoken::Http2, _) => clear_text(&site, io, first).await,
        (Spoken::Nothing, _) => End::NoRequest,
        (Spoken::Tls | Spoken::Unknown, _) => {
            site.gap(GapCause::UnknownProtocol);
            refused(&site, Refuse::UnknownProtocol)
        }
    }
}

fn refused(site: &Site, why: Refuse) -> End {
    site.shared.metrics.refused(why.as_str());
    End::Refused(why)
}

async fn clear_text(site: &Site, io: BoxIo, first: BytesMut) -> End {
    site.gap(GapCause::ClearTextAfterConnect);
    let mut conn = Conn::new(io, first);
    if answer::refuse_unread(&mut conn, &Refused::new(Refuse::ClearText)).await.is_ok() {
        answer::linger(&mut conn).await;
    }
    refused(site, Refuse::ClearText)
}

async fn encrypted(site: Arc<Site>, io: BoxIo, patience: &mut Patience) -> End {
    let limit = site.shared.limits.head_timeout;
    match timeout(limit, shake_hands(&site, io)).await {
        Ok(Ok((io, is_http2))) => {
            site.shared.metrics.intercepted();
            if is_http2 { http2::serve(site, io).await } else { negotiated_nothing(site, io, patience).await }
        }
        Ok(Err(end)) => end,
        Err(_elapsed) => End::DeviceStalled,
    }
}

/// Some clients speak HTTP/2 although they negotiated nothing: the preface says so.
async fn negotiated_nothing(site: Arc<Site>, mut io: BoxIo, patience: &mut Patience) -> End {
    patience.allow(site.shared.limits.head_timeout);
    let (spoken, first) = client_hello::first_bytes(&mut io, BytesMut::new(), patience).await;
    match spoken {
        Spoken::Http2 => http2::serve(site, Rewound::over(io, first)).await,
        Spoken::Nothing => End::NoRequest,
        // The strict reader says what is wrong with it.
        Spoken::Http1 | Spoken::Tls | Spoken::Unknown => http1::serve(&site, io, first, patience).await,
    }
}

async fn shake_hands(site: &Site, io: BoxIo) -> Result<(BoxIo, bool), End> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), io).await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => {
            site.gap(GapCause::UnknownProtocol);
            refused(site, Refuse::UnknownProtocol)
        }
        _ => End::DeviceGone,
    })?;
    let connection = site.connection();
    let host = connection.authority.host();
    // An address is never in SNI (RFC 6066 §3), so its absence means the target of CONNECT.
    if let Some(name) = hello.client_hello().server_name()
        && !name.trim_end_matches('.').eq_ignore_ascii_case(host)
    {
        site.gap(GapCause::MalformedExchange);
        return Err(refused(site, Refuse::NameMismatch));
    }
    let config = site.shared.leaves.config(host).await.map_err(|error| {
        tracing::error!(upstream.authority = %connection.authority, error = %error, "no leaf can be minted");
        refused(site, Refuse::NoLeaf)
    })?;
    match hello.into_stream(config).await {
        Ok(stream) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok((Box::new(stream), is_http2))
        }
        Err(error) => Err(judge(site, &error)),
    }
}

/// Why a handshake failed after our certificate was shown.
fn judge(site: &Site, error: &io::Error) -> End {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let refuses_leaf = match tls {
        Some(rustls::Error::AlertReceived(alert)) => is_about_certificate(*alert),
        // Most pinned apps hang up without a word.
        _ => matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        ),
    };
    if refuses_leaf {
        site.gap(GapCause::LeafRefused);
        return End::LeafRefused;
    }
    site.gap(GapCause::UnknownProtocol);
    refused(site, Refuse::UnknownProtocol)
}

const fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::BadCertificateStatusResponse
            | AlertDescription::BadCertificateHashValue
            // OpenSSL and some app stacks say only that they do not want to go on.
            | AlertDescription::HandshakeFailure
            | AlertDescription::InternalError
            | AlertDescription::UserCanceled
            | AlertDescription::CloseNotify
    )
}
