//! Devices that ask as fast as they are answered.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

#[derive(Clone, Copy)]
pub struct Load {
    pub proxy: u16,
    pub origin: u16,
    pub size: usize,
    pub connections: usize,
    pub span: Duration,
}

type Connection = TlsStream<TcpStream>;

impl Load {
    pub async fn connect(&self, ca: &Path) -> Vec<Connection> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            let mut connection = self.tunnel(&connector).await;
            // The upstream connection, too, is there before anything is measured.
            self.ask(&mut connection, &mut vec![0; 128 << 10]).await;
            connections.push(connection);
        }
        connections
    }

    async fn tunnel(&self, connector: &TlsConnector) -> Connection {
        let mut stream = TcpStream::connect(("127.0.0.1", self.proxy)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let login = base64::engine::general_purpose::STANDARD.encode("bench:bench");
        let head = format!(
            "CONNECT localhost:{0} HTTP/1.1\r\nHost: localhost:{0}\r\nProxy-Authorization: Basic {login}\r\n\r\n",
            self.origin
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
    }

    /// One request, with the fields that a library sends.
    async fn ask(&self, connection: &mut Connection, buffer: &mut [u8]) {
        let request = format!(
            "GET /{} HTTP/1.1\r\nHost: localhost:{}\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n\
             Authorization: Bearer 0123456789abcdef\r\n\r\n",
            self.size, self.origin
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut read = 0;
        let mut wanted = None;
        while wanted.is_none_or(|wanted| read < wanted) {
            let count = connection.read(&mut buffer[read..]).await.unwrap();
            assert!(count > 0, "the proxy hung up");
            read += count;
            if wanted.is_none() {
                let end = buffer[..read].windows(4).position(|window| window == b"\r\n\r\n");
                wanted = end.map(|end| end + 4 + self.size);
            }
        }
        assert_eq!(Some(read), wanted);
    }

    /// Asks until the time is over; gives how often.
    pub async fn run(self, connections: Vec<Connection>) -> u64 {
        let (load, over) = (Arc::new(self), Arc::new(AtomicBool::new(false)));
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|mut connection| {
                let (load, over) = (Arc::clone(&load), Arc::clone(&over));
                tokio::spawn(async move {
                    let (mut buffer, mut count) = (vec![0; 128 << 10], 0_u64);
                    while !over.load(Ordering::Relaxed) {
                        load.ask(&mut connection, &mut buffer).await;
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        tokio::time::sleep(load.span).await;
        over.store(true, Ordering::Relaxed);
        let mut total = 0;
        for task in tasks {
            total += task.await.unwrap();
        }
        total
    }
}
