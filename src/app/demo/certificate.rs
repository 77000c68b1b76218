//! A certificate for the demo's network, under a root of its own that only the demo's proxy trusts.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The network's TLS identity could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Minting failed.
    #[error("a certificate for the demo's network could not be made")]
    Mint(#[from] rcgen::Error),
    /// The TLS library does not take it.
    #[error("the certificate of the demo's network cannot be served")]
    Serve(#[from] rustls::Error),
}

/// What the network serves with, and the root that vouches for it.
pub struct Identity {
    /// Certificate and key, offering HTTP/2 and HTTP/1.1.
    pub server: Arc<ServerConfig>,
    /// PEM.
    pub root: String,
}

impl Identity {
    /// Makes one for a host.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn fresh(host: &str) -> Result<Self, CertificateError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "a public root, for the demo");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(vec![host.to_owned()])?.signed_by(&key, &issuer)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { server: Arc::new(server), root: issuer.pem() })
    }
}
