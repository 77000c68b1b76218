//! hudsucker as its example has it: rcgen CA, no-op handler; TCP_NODELAY on both legs, without which it is slower.

use std::path::Path;
use std::sync::Arc;

use hudsucker::Proxy;
use hudsucker::certificate_authority::RcgenAuthority;
use hudsucker::rcgen::{Issuer, KeyPair};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpSocket;

pub async fn run(directory: &Path) {
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    let key = KeyPair::from_pem(&read("hudsucker.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("hudsucker.pem"), key).unwrap();
    let ca = RcgenAuthority::new(issuer, 1_000, hudsucker::rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(directory.join("origin-root.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.enforce_http(false);
    let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(http);
    let socket = TcpSocket::new_v4().unwrap();
    // Accepted sockets inherit it.
    socket.set_nodelay(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1024).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let proxy = Proxy::builder().with_listener(listener).with_ca(ca).with_http_connector(https).build().unwrap();
    proxy.start().await.unwrap();
}
