//! The advisor's device: whatever an app may send, over HTTP/1.1, HTTP/2 and WebSocket.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::proxy::support::Choice;
use crate::proxy::support::device::{basic, client_config};
use crate::proxy::support::peer::{Peer, field, status};
use crate::service::{Device, Firm};

pub(crate) struct Phone {
    pub(crate) proxy: u16,
    pub(crate) credential: (String, String),
    /// The firm's root, and the origin's for what is not intercepted.
    pub(crate) roots: Vec<String>,
}

impl Phone {
    /// A device of the firm's, which trusts its root and these.
    pub(crate) fn new(firm: &Firm, device: &Device, roots: &[&str]) -> Self {
        let firm_root = std::fs::read_to_string(firm.root()).unwrap();
        let roots = roots.iter().map(|root| (*root).to_owned()).chain([firm_root]).collect();
        Self { proxy: firm.proxy, credential: (device.id.clone(), device.secret.clone()), roots }
    }

    /// A device that speaks HTTP/1.1 to `host` in a tunnel.
    pub(crate) async fn peer(&self, host: &str) -> Peer {
        Peer::new("device", self.tunnel(host, Choice::Http1).await)
    }

    /// A tunnel with TLS to `host:443`.
    pub(crate) async fn tunnel(&self, host: &str, choice: Choice) -> TlsStream<TcpStream> {
        let mut tcp = TcpStream::connect(("127.0.0.1", self.proxy)).await.unwrap();
        let credential = basic(&self.credential.0, &self.credential.1);
        let head =
            format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nProxy-Authorization: {credential}\r\n\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(tcp.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(status(&answer), 200, "{answer}");
        let name = ServerName::try_from(host.to_owned()).unwrap();
        TlsConnector::from(client_config(&self.roots, choice)).connect(name, tcp).await.unwrap()
    }

    /// One request over HTTP/1.1; gives the status.
    pub(crate) async fn send(&self, host: &str, line: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> u16 {
        let mut peer = self.peer(host).await;
        let body = body.as_ref();
        let mut head = format!("{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        peer.send(head + "\r\n").await;
        // Who refuses a body need not read it to its end.
        let _taken = peer.try_send(body).await;
        let head = peer.head().await;
        let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        if field(&head, "content-type") == Some("text/event-stream") {
            drop(peer.rest().await);
        } else {
            drop(peer.bytes(length).await);
        }
        status(&head)
    }

    /// One request over HTTP/2; gives the status.
    pub(crate) async fn send2(
        &self,
        host: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> u16 {
        let (requests, connection) = h2::client::handshake(self.tunnel(host, Choice::Http2).await).await.unwrap();
        let driven = tokio::spawn(connection);
        let mut request = http::Request::builder().method(method).uri(format!("https://{host}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut requests = requests.ready().await.unwrap();
        let (answer, mut sending) = requests.send_request(request.body(()).unwrap(), false).unwrap();
        sending.send_data(Bytes::from(body.to_owned()), true).unwrap();
        let mut answer = answer.await.unwrap();
        while let Some(data) = answer.body_mut().data().await {
            let data = data.unwrap();
            let _given_back = answer.body_mut().flow_control().release_capacity(data.len());
        }
        driven.abort();
        answer.status().as_u16()
    }

    /// Opens a channel, says something, and waits for an answer.
    pub(crate) async fn talk(&self, host: &str, path: &str, protocol: &str, text: &str) {
        let stream = self.tunnel(host, Choice::Http1).await;
        let key = tokio_tungstenite::tungstenite::handshake::client::generate_key();
        let request = http::Request::get(format!("wss://{host}{path}"))
            .header("Host", host)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", key)
            .header("Authorization", format!("Bearer {protocol}"))
            .body(())
            .unwrap();
        let (mut socket, _answer) = client_async(request, stream).await.unwrap();
        socket.send(Message::text(text)).await.unwrap();
        let heard = tokio::time::timeout(std::time::Duration::from_secs(20), socket.next()).await;
        assert!(heard.expect("no message comes").unwrap().unwrap().is_text());
    }
}
