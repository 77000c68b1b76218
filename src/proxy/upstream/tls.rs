//! TLS towards origins: whom we trust, what we offer, and what the handshake showed.
//!
//! The device trusts us to check the origin, since it can no longer do so itself: system roots and `upstream.extra_roots`, host
//! name, validity. There is no way to switch that off. Early data is not used: a replayed request would be one more than recorded.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::exchange::{Authority, Protocol};
use crate::proxy::io::BoxIo;
use crate::record::Digest;

/// The trust in origins could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file of `upstream.extra_roots` cannot be read.
    #[error("upstream.extra_roots: {path}: {source}; give a PEM file with certificates")]
    ExtraRoot {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// A file of `upstream.extra_roots` holds what is no certificate, or none.
    #[error("upstream.extra_roots: {path} holds no certificate that can be trusted; give a PEM file with certificates")]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// Neither the system nor the settings give a root.
    #[error("no trusted roots: install the package ca-certificates, or name PEM files in upstream.extra_roots")]
    NoRoots,
    /// The TLS library refuses its own parameters.
    #[error("tls for origins cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// What may be spoken on a connection to an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// HTTP/2 or HTTP/1.1, as the origin likes.
    Both,
    /// HTTP/1.1 only: for upgrades.
    Http1,
}

/// The client side of TLS.
#[derive(Clone)]
pub(crate) struct OriginTls {
    both: TlsConnector,
    http1: TlsConnector,
}

/// What a handshake showed.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) protocol: Protocol,
    pub(crate) version: Option<&'static str>,
    pub(crate) chain: Option<Digest>,
}

impl OriginTls {
    pub(crate) fn new(extra_roots: &[PathBuf]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!(error = %error, "a system root certificate cannot be read");
        }
        let (_added, _unfit) = roots.add_parsable_certificates(system.certs);
        for path in extra_roots {
            add_extra_roots(&mut roots, path)?;
        }
        if roots.is_empty() {
            return Err(TrustError::NoRoots);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.enable_early_data = false;
        let mut http1 = config.clone();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A session that was begun with h2 must not be taken up by a connection that cannot speak it.
        http1.resumption = rustls::client::Resumption::in_memory_sessions(64);
        Ok(Self { both: Arc::new(config).into(), http1: Arc::new(http1).into() })
    }

    /// Shakes hands with the origin and checks that it is the one named.
    pub(crate) async fn connect(&self, authority: &Authority, io: BoxIo, offer: Offer) -> io::Result<(BoxIo, Shown)> {
        let name = ServerName::try_from(authority.host().to_owned())
            .map_err(|source| io::Error::new(io::ErrorKind::InvalidInput, source))?;
        let connector = match offer {
            Offer::Both => &self.both,
            Offer::Http1 => &self.http1,
        };
        let stream: TlsStream<BoxIo> = connector.connect(name, io).await?;
        let (_io, session) = stream.get_ref();
        let shown = Shown {
            protocol: if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 },
            version: session.protocol_version().and_then(|version| version.as_str()),
            chain: session.peer_certificates().map(|chain| {
                let parts: Vec<&[u8]> = chain.iter().map(|certificate| certificate.as_ref()).collect();
                Digest::of(&parts)
            }),
        };
        Ok((Box::new(stream), shown))
    }
}

fn add_extra_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), TrustError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TrustError::ExtraRoot { path: path.to_owned(), source })?;
    let none = || TrustError::NoCertificate { path: path.to_owned() };
    if certificates.is_empty() {
        return Err(none());
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|_source| none())?;
    }
    Ok(())
}
