//! An origin that costs as little as possible: TLS, and the same answer again and again.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub async fn run(directory: &Path) {
    let certificate = CertificateDer::from_pem_file(directory.join("origin.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join("origin.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(serve(acceptor.clone(), stream));
    }
}

/// `GET /<bytes>`
async fn serve(acceptor: TlsAcceptor, stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut head = Vec::with_capacity(4096);
    let (mut size, mut answer) = (usize::MAX, Vec::new());
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_buf(&mut head).await {
                Ok(1..) => {}
                _ => return,
            }
        }
        let text = std::str::from_utf8(&head).unwrap();
        let wanted: usize = text.split(['/', ' ']).nth(2).and_then(|n| n.parse().ok()).unwrap_or(0);
        if wanted != size {
            size = wanted;
            // The fields that an nginx sends.
            answer = format!(
                "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 21:00:00 GMT\r\nContent-Type: text/plain\r\n\
                 Content-Length: {size}\r\nLast-Modified: Sat, 21 Nov 2026 20:00:00 GMT\r\nConnection: keep-alive\r\n\
                 ETag: \"6740-{size:x}\"\r\nAccept-Ranges: bytes\r\n\r\n"
            )
            .into_bytes();
            answer.resize(answer.len() + size, b'x');
        }
        head.clear();
        if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}
