//! Origins on loopback with certificates from a root of their own: a real HTTP server, and one whose every byte a test writes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::peer::{Peer, SOON};

/// The root that signs the origins' certificates.
pub(crate) struct OriginRoot {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl OriginRoot {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Root of the test's origins");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// What serves these names.
    pub(crate) fn config(&self, names: &[&str], alpn: &[&str]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A request as the origin saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: http::Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

/// A real HTTP server (hyper), HTTP/1.1 and HTTP/2.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Origin {
    pub(crate) async fn start(config: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let into = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(config);
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(acceptor.clone(), stream, Arc::clone(&into)));
            }
        });
        Self { address, seen, task }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>) {
    stream.set_nodelay(true).unwrap();
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
    let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    server.http1().half_close(true);
    drop(server.serve_connection_with_upgrades(TokioIo::new(stream), service).await);
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

async fn answer(request: Request<Incoming>, seen: Arc<Mutex<Vec<Seen>>>) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let is_head = parts.method == http::Method::HEAD;
    let (body, trailers) = match body.collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().cloned();
            (collected.to_bytes(), trailers)
        }
        Err(_) => return Ok(Response::builder().status(StatusCode::BAD_REQUEST).body(whole("")).unwrap()),
    };
    seen.lock().push(Seen {
        method: parts.method.to_string(),
        target: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        version: parts.version,
        headers: parts.headers,
        body: body.clone(),
        trailers,
    });
    let number = path.rsplit('/').next().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    let response = Response::builder().header("content-type", "text/plain");
    if is_head {
        // hyper would send the body of an answer to HEAD over HTTP/2.
        let answer = response.header("content-length", number).body(http_body_util::Empty::new().boxed_unsync());
        return Ok(answer.unwrap());
    }
    Ok(match path.as_str() {
        path if path.contains("/bytes/") => response.body(whole(vec![b'x'; number])),
        path if path.contains("/stream/") => {
            let pieces = (0..number).map(|n| Ok(Frame::data(Bytes::from(format!("piece {n}\n")))));
            response.body(BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(pieces))))
        }
        path if path.contains("/trailers") => {
            let mut fields = HeaderMap::new();
            fields.insert("x-checksum", "abc".parse().unwrap());
            let frames = [Ok(Frame::data(Bytes::from_static(b"body"))), Ok(Frame::trailers(fields))];
            response
                .header("trailer", "x-checksum")
                .body(BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames))))
        }
        path if path.contains("/events") => {
            let events = futures_util::stream::unfold(0, move |n| async move {
                if n >= number.max(3) {
                    // The stream does not end on its own.
                    tokio::time::sleep(SOON).await;
                    return None;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok(Frame::data(Bytes::from(format!("event: update\ndata: {{\"n\":{n}}}\n\n")))), n + 1))
            });
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(BodyExt::boxed_unsync(StreamBody::new(events.boxed())))
        }
        path if path.contains("/alt-svc") => response.header("alt-svc", "h3=\":443\"").body(whole("here")),
        path if path.contains("/echo") => response.body(whole(body)),
        path if path.contains("/status/") => response
            .status(u16::try_from(number).unwrap())
            .body(whole(if matches!(number, 204 | 304) { "" } else { "status" })),
        path if path.contains("/none") => response.body(http_body_util::Empty::new().boxed_unsync()),
        _ => response.status(StatusCode::CREATED).body(whole(format!("{{\"received\":{}}}", body.len()))),
    }
    .unwrap())
}

/// A TLS origin whose every byte a test writes.
pub(crate) struct RawOrigin {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    pub(crate) address: SocketAddr,
}

impl RawOrigin {
    pub(crate) async fn start(config: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, acceptor: config.map(TlsAcceptor::from), address }
    }

    /// The next connection to it.
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) =
            tokio::time::timeout(SOON, self.listener.accept()).await.expect("nobody connects to the origin").unwrap();
        stream.set_nodelay(true).unwrap();
        match &self.acceptor {
            Some(acceptor) => Peer::new("origin", acceptor.accept(stream).await.unwrap()),
            None => Peer::new("origin", stream),
        }
    }

    /// Nobody connects for a while.
    pub(crate) async fn expect_nobody(&self, span: Duration) {
        assert!(tokio::time::timeout(span, self.listener.accept()).await.is_err(), "somebody connects to the origin");
    }
}
