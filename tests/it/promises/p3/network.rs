//! What the devices talk to: a Mastodon-like host, an AT Protocol host, a host nobody has rules for, and one that is not listed.
//!
//! One server behind all names, over HTTP/1.1 and HTTP/2. Its answers carry secrets of their own: refresh tokens, cookies.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, handshake::derive_accept_key};

use crate::proxy::support::origin::OriginRoot;

/// The names: with Mastodon's and AT Protocol's rules, without any, not listed.
pub(crate) const SOCIAL: &str = "social.test";
pub(crate) const OTHER: &str = "other.test";
pub(crate) const UNLISTED: &str = "bank.test";

/// Secrets of the answers.
#[derive(Clone)]
pub(crate) struct Answers {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) cookie: String,
    pub(crate) unlisted: String,
}

pub(crate) struct Network {
    pub(crate) address: SocketAddr,
    /// Method and path of what came.
    seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Network {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Network {
    pub(crate) async fn start(root: &OriginRoot, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(root.config(&[SOCIAL, OTHER, UNLISTED], &["h2", "http/1.1"]));
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let (into, answers) = (Arc::clone(&seen), Arc::new(answers));
        let task = tokio::spawn(async move {
            while let Ok((stream, _peer)) = listener.accept().await {
                let (acceptor, seen, answers) = (acceptor.clone(), Arc::clone(&into), Arc::clone(&answers));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let serve = service_fn(|request| answer(request, Arc::clone(&seen), Arc::clone(&answers)));
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    drop(server.serve_connection_with_upgrades(TokioIo::new(stream), serve).await);
                });
            }
        });
        Self { address, seen, task }
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

fn status(text: &str, id: u32) -> serde_json::Value {
    json!({
        "id": id.to_string(), "content": format!("<p>{text}</p>"), "visibility": "public", "created_at": "2026-11-21T20:00:00Z",
        "url": format!("https://{SOCIAL}/@ada/{id}"), "uri": format!("https://{SOCIAL}/@ada/{id}"),
        "account": {"id": "1", "acct": "ada", "display_name": "Ada"}, "mentions": [], "media_attachments": [],
    })
}

async fn answer(
    mut request: Request<Incoming>,
    seen: Arc<Mutex<Vec<String>>>,
    answers: Arc<Answers>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let line = format!("{} {path}", request.method());
    let is_upgrade = request.headers().contains_key("upgrade");
    let key = request.headers().get("sec-websocket-key").cloned();
    if let Some(key) = key.filter(|_key| is_upgrade) {
        let upgrade = hyper::upgrade::on(&mut request);
        seen.lock().push(line);
        let into = Arc::clone(&seen);
        tokio::spawn(async move {
            let Ok(stream) = upgrade.await else { return };
            let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
            while let Some(Ok(message)) = socket.next().await {
                if !message.is_text() {
                    continue;
                }
                into.lock().push("message".to_owned());
                let update = json!({"stream": ["user"], "event": "update", "access_token": answers.access,
                                    "payload": status("an update of ada's", 77).to_string()});
                if socket.send(Message::text(update.to_string())).await.is_err() {
                    return;
                }
            }
        });
        let accept = derive_accept_key(key.as_bytes());
        let answer = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
        return Ok(answer.header("sec-websocket-accept", accept).body(whole("")).unwrap());
    }
    // A body that breaks off is an exchange that was refused on the way: nothing to answer.
    if request.body_mut().collect().await.is_err() {
        return Ok(Response::builder().status(400).body(whole("")).unwrap());
    }
    seen.lock().push(line);
    let handed_out = json!({
        "access_token": answers.access, "accessJwt": answers.access, "token_type": "Bearer", "scope": "read write",
        "refresh_token": answers.refresh, "refreshJwt": answers.refresh, "did": "did:plc:ada", "handle": "ada.test",
    });
    let cookie = format!("_session_id={}; Path=/; Secure; HttpOnly", answers.cookie);
    let json = Response::builder().header("content-type", "application/json").header("set-cookie", &cookie);
    Ok(match path.as_str() {
        path if path.starts_with("/private") => Response::builder().body(whole(answers.unlisted.clone())).unwrap(),
        "/api/v1/statuses" => {
            let mut made = status("as it was posted", 42);
            made["session"] = handed_out;
            json.body(whole(made.to_string())).unwrap()
        }
        "/api/v1/accounts/verify_credentials" => json
            .body(whole(json!({"id": "1", "acct": "ada", "source": {}, "token": answers.access}).to_string()))
            .unwrap(),
        "/api/v1/timelines/home" => json.body(whole(json!([status("seen at home", 43)]).to_string())).unwrap(),
        "/api/v1/streaming/user" => {
            let event = format!("event: update\ndata: {}\n\n", status("an event of ada's", 78));
            let events = futures_util::stream::iter([Ok(Frame::data(Bytes::from(event)))]);
            let events = events.chain(futures_util::stream::once(async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Ok(Frame::data(Bytes::from_static(b":thump\n\n")))
            }));
            let body = BodyExt::boxed_unsync(StreamBody::new(events));
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        }
        _ => json.body(whole(handed_out.to_string())).unwrap(),
    })
}
