//! An origin that costs as little as possible: TLS, and the same answer again and again, in one version of HTTP.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::Protocol;

/// What a server of Mastodon says of a new post, cut short.
const POSTED: &str = "HTTP/1.1 200 OK\r\nServer: Mastodon\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 164\r\n\r\n\
{\"id\":\"103254962155278888\",\"visibility\":\"public\",\"url\":\"https://localhost/@ada/103254962155278888\",\"account\":{\"id\":\"1\",\"acct\":\"ada\",\"url\":\"https://localhost/@ada\"}}";

/// The fields that an nginx sends with this many bytes, but for their number.
fn fields(size: usize) -> [(&'static str, String); 7] {
    [
        ("Server", "nginx/1.22.1".to_owned()),
        ("Date", "Sat, 21 Nov 2026 21:00:00 GMT".to_owned()),
        ("Content-Type", "text/plain".to_owned()),
        ("Content-Length", size.to_string()),
        ("Last-Modified", "Sat, 21 Nov 2026 20:00:00 GMT".to_owned()),
        ("ETag", format!("\"6740-{size:x}\"")),
        ("Accept-Ranges", "bytes".to_owned()),
    ]
}

pub async fn run(directory: &Path, protocol: Protocol) {
    let certificate = CertificateDer::from_pem_file(directory.join("origin.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join("origin.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![protocol.alpn()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(serve(acceptor.clone(), stream, protocol));
    }
}

/// `GET /<bytes>`, or a post.
async fn serve(acceptor: TlsAcceptor, stream: TcpStream, protocol: Protocol) {
    stream.set_nodelay(true).unwrap();
    let Ok(stream) = acceptor.accept(stream).await else { return };
    match protocol {
        Protocol::Http1 => serve_one(stream).await,
        Protocol::Http2 => {
            let service = service_fn(|request| async move { Ok::<_, Infallible>(answer_two(&request)) });
            // The proxy hangs up when it has enough.
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        }
    }
}

fn answer_two(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    static BODIES: Mutex<Option<HashMap<usize, Bytes>>> = Mutex::new(None);
    let size: usize = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
    let body = BODIES
        .lock()
        .unwrap()
        .get_or_insert_default()
        .entry(size)
        .or_insert_with(|| Bytes::from(vec![b'x'; size]))
        .clone();
    let mut response = Response::builder();
    for (name, value) in fields(size) {
        response = response.header(name, value);
    }
    response.body(Full::new(body)).unwrap()
}

async fn serve_one(mut stream: TlsStream<TcpStream>) {
    let mut head = Vec::with_capacity(4096);
    let (mut size, mut answer) = (usize::MAX, Vec::new());
    loop {
        let end = loop {
            if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read_buf(&mut head).await {
                Ok(1..) => {}
                _ => return,
            }
        };
        let text = std::str::from_utf8(&head[..end]).unwrap();
        if text.starts_with("POST ") {
            let text = text.to_ascii_lowercase();
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            // Some of it has come with the head.
            let mut rest = vec![0; (end + length.unwrap_or(0)).saturating_sub(head.len())];
            head.clear();
            if stream.read_exact(&mut rest).await.is_err()
                || stream.write_all(POSTED.as_bytes()).await.is_err()
                || stream.flush().await.is_err()
            {
                return;
            }
            continue;
        }
        let wanted: usize = text.split(['/', ' ']).nth(2).and_then(|n| n.parse().ok()).unwrap_or(0);
        if wanted != size {
            size = wanted;
            let fields: String = fields(size).iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            answer = format!("HTTP/1.1 200 OK\r\n{fields}Connection: keep-alive\r\n\r\n").into_bytes();
            answer.resize(answer.len() + size, b'x');
        }
        head.clear();
        if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}
