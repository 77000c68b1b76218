//! A device: opens tunnels through the proxy and trusts the firm's root, or does not.

use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::peer::{Peer, status};
use super::world::World;

/// The right credential of the only device there is.
pub(crate) const USER: &str = "laptop";
pub(crate) const PASSWORD: &str = "correct-horse";

/// The value of Proxy-Authorization.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// What a device offers in ALPN.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Choice {
    Nothing,
    Http1,
    Http2,
}

/// An open tunnel with TLS in it.
pub(crate) type Tunnel = TlsStream<TcpStream>;

pub(crate) fn client_config(roots: &[String], choice: Choice) -> Arc<ClientConfig> {
    let mut store = RootCertStore::empty();
    for pem in roots {
        store.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = match choice {
        Choice::Nothing => vec![],
        Choice::Http1 => vec![b"http/1.1".to_vec()],
        Choice::Http2 => vec![b"h2".to_vec()],
    };
    Arc::new(config)
}

impl World {
    /// A plain connection to the proxy.
    pub(crate) async fn connection(&self) -> Peer {
        Peer::new("device", self.tcp().await)
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.proxy).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A tunnel, as far as the answer to CONNECT.
    pub(crate) async fn connect(&self, target: &str) -> (Peer, u16) {
        let mut peer = self.connection().await;
        let credential = basic(USER, PASSWORD);
        peer.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: {credential}\r\n\r\n"))
            .await;
        let head = peer.head().await;
        let status = status(&head);
        (peer, status)
    }

    /// A tunnel with TLS to `host:443`.
    pub(crate) async fn tunnel(&self, host: &str, choice: Choice) -> Tunnel {
        let tcp = self.open(host).await;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let config = client_config(std::slice::from_ref(&self.firm_root), choice);
        TlsConnector::from(config).connect(name, tcp).await.unwrap()
    }

    async fn open(&self, host: &str) -> TcpStream {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut tcp = self.tcp().await;
        let credential = basic(USER, PASSWORD);
        let head =
            format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nProxy-Authorization: {credential}\r\n\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(tcp.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(status(&answer), 200, "{answer}");
        tcp
    }

    /// A device that speaks HTTP/1.1 to `host` in a tunnel.
    pub(crate) async fn device(&self, host: &str) -> Peer {
        Peer::new("device", self.tunnel(host, Choice::Http1).await)
    }

    /// A device that speaks HTTP/2 to `host` in a tunnel.
    pub(crate) async fn device2(&self, host: &str) -> h2::client::SendRequest<Bytes> {
        let (requests, connection) = h2::client::handshake(self.tunnel(host, Choice::Http2).await).await.unwrap();
        tokio::spawn(connection);
        requests
    }
}
