//! hudsucker as its example has it: rcgen CA, no-op handler; TCP_NODELAY on both legs, without which it is slower. Or with a handler that
//! appends the body of each post to a file and waits until it is there, together with all others who wait.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::{BodyExt as _, Full};
use hudsucker::certificate_authority::RcgenAuthority;
use hudsucker::hyper::Request;
use hudsucker::hyper::body::Bytes;
use hudsucker::rcgen::{Issuer, KeyPair};
use hudsucker::{Body, HttpContext, HttpHandler, Proxy, RequestOrResponse};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, oneshot};

pub async fn run(directory: &Path, origin: u16, keeps: bool) {
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
    let mut http = HttpConnector::new_with_resolver(Here(origin));
    http.set_nodelay(true);
    http.enforce_http(false);
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(http);
    let socket = TcpSocket::new_v4().unwrap();
    // Accepted sockets inherit it.
    socket.set_nodelay(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1024).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let proxy = Proxy::builder().with_listener(listener).with_ca(ca).with_http_connector(https);
    if keeps {
        let keeper = Keeper::start(&directory.join("posts"));
        proxy.with_http_handler(keeper).build().unwrap().start().await.unwrap();
    } else {
        proxy.build().unwrap().start().await.unwrap();
    }
}

/// Every name leads to the origin.
#[derive(Clone)]
struct Here(u16);

impl tower_service::Service<Name> for Here {
    type Response = std::iter::Once<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _name: Name) -> Self::Future {
        ready(Ok(std::iter::once(([127, 0, 0, 1], self.0).into())))
    }
}

type Kept = (Bytes, oneshot::Sender<()>);

#[derive(Clone)]
struct Keeper(mpsc::Sender<Kept>);

impl Keeper {
    /// A thread appends what waits in one go, makes it durable, and answers all of them.
    fn start(path: &Path) -> Self {
        let (sender, mut queue) = mpsc::channel::<Kept>(4_096);
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        std::thread::spawn(move || {
            let mut waiting = Vec::new();
            while queue.blocking_recv_many(&mut waiting, 512) > 0 {
                let bytes: Vec<u8> = waiting.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
                file.write_all(&bytes).unwrap();
                file.sync_data().unwrap();
                for (_, answer) in waiting.drain(..) {
                    answer.send(()).ok();
                }
            }
        });
        Self(sender)
    }
}

impl HttpHandler for Keeper {
    async fn handle_request(&mut self, _context: &HttpContext, request: Request<Body>) -> RequestOrResponse {
        if request.method() != "POST" {
            return request.into();
        }
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let (answer, kept) = oneshot::channel();
        self.0.send((bytes.clone(), answer)).await.unwrap();
        kept.await.unwrap();
        Request::from_parts(head, Body::from(Full::new(bytes))).into()
    }
}
