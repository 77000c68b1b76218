//! A relay between the archive and Postgres that a test can cut: between request and answer, or altogether.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Notify, watch};

use super::postgres::Database;

const PASS: u8 = 0;
const CUT_REQUEST: u8 = 1;
const CUT_ANSWER: u8 = 2;
const CLOSED: u8 = 3;
const STALL_ANSWER: u8 = 4;
const STALL_REQUEST: u8 = 5;

/// How long a connection that fell silent stays open: longer than anybody waits.
const SILENCE: Duration = Duration::from_secs(60);

/// When a server notices that nobody is there any more.
const NOTICED: Duration = Duration::from_secs(3);

/// What goes through, and how.
#[derive(Debug, Default)]
struct Rule {
    mode: AtomicU8,
    /// Only messages that hold this are meant.
    marker: parking_lot::Mutex<Vec<u8>>,
    cuts: AtomicUsize,
    closed: Notify,
    silent: watch::Sender<bool>,
    /// How often everything was left stranded.
    stranded: watch::Sender<u32>,
}

impl Rule {
    /// Returns once words get through, over a connection that was made after so many strandings.
    async fn heard(&self, made: u32) {
        let mut silent = self.silent.subscribe();
        // The sender is ours: it does not go away.
        let _spoken = silent.wait_for(|silent| !silent).await.is_ok();
        if *self.stranded.borrow() != made {
            std::future::pending::<()>().await;
        }
    }

    /// Returns once a connection that was made then is left stranded.
    async fn left(&self, made: u32) {
        let mut stranded = self.stranded.subscribe();
        let _left = stranded.wait_for(|now| *now != made).await.is_ok();
    }
}

/// The relay; it ends with the value.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    rule: Arc<Rule>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn before(database: &Database) -> Self {
        Self::to(database.server().socket()).await
    }

    /// Before the server that listens on this socket.
    pub(crate) async fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let rule = Arc::new(Rule::default());
        let task = tokio::spawn(serve(listener, socket, Arc::clone(&rule)));
        Self { address, rule, task }
    }

    /// The same login, through the relay.
    pub(crate) fn through(&self, options: PgConnectOptions) -> PgConnectOptions {
        // A host on the network replaces the socket.
        let database = options.get_database().unwrap().to_owned();
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.address.port())
            .ssl_mode(sqlx::postgres::PgSslMode::Disable)
            .username(options.get_username())
            .database(&database)
    }

    /// The next message that holds `marker` never reaches the server; the connection is cut instead.
    pub(crate) fn cut_request(&self, marker: &[u8]) {
        self.set(CUT_REQUEST, marker);
    }

    /// The next message that holds `marker` reaches the server, which acts on it; its answer never comes back.
    pub(crate) fn cut_answer(&self, marker: &[u8]) {
        self.set(CUT_ANSWER, marker);
    }

    /// Like `cut_answer`, but the connection just falls silent.
    pub(crate) fn stall_answer(&self, marker: &[u8]) {
        self.set(STALL_ANSWER, marker);
    }

    /// The next message that holds `marker` never reaches the server, and neither side hears more of the other, nor learns why.
    pub(crate) fn stall_request(&self, marker: &[u8]) {
        self.set(STALL_REQUEST, marker);
    }

    /// Cuts every connection and takes no more.
    pub(crate) fn close(&self) {
        self.set(CLOSED, b"");
        self.rule.closed.notify_waiters();
    }

    /// Nothing gets through and nothing is said: a network that is cut. What was sent arrives when it is mended.
    pub(crate) fn silence(&self) {
        self.rule.silent.send_replace(true);
    }

    /// Mends it.
    pub(crate) fn speak(&self) {
        self.rule.silent.send_replace(false);
    }

    /// Nothing gets through any more over the connections there are, and nobody is told: what stood between has forgotten them. New ones work.
    pub(crate) fn strand(&self) {
        self.rule.stranded.send_modify(|times| *times += 1);
    }

    /// The port it listens on, on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Lets everything through again.
    pub(crate) fn open(&self) {
        self.set(PASS, b"");
    }

    /// How often it has cut.
    pub(crate) fn cuts(&self) -> usize {
        self.rule.cuts.load(Ordering::SeqCst)
    }

    fn set(&self, mode: u8, marker: &[u8]) {
        *self.rule.marker.lock() = marker.to_vec();
        self.rule.mode.store(mode, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, socket: PathBuf, rule: Arc<Rule>) {
    while let Ok((client, _address)) = listener.accept().await {
        if rule.mode.load(Ordering::SeqCst) == CLOSED {
            continue;
        }
        client.set_nodelay(true).unwrap();
        let server = UnixStream::connect(&socket).await.unwrap();
        tokio::spawn(relay(client, server, Arc::clone(&rule)));
    }
}

async fn relay(client: TcpStream, server: UnixStream, rule: Arc<Rule>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mute, made) = (Arc::new(AtomicBool::new(false)), *rule.stranded.borrow());
    let answers = tokio::spawn({
        let (mute, rule) = (Arc::clone(&mute), Arc::clone(&rule));
        async move {
            let mut buffer = vec![0; 1 << 16];
            // An end on either side ends the other.
            while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                rule.heard(made).await;
                if !mute.load(Ordering::SeqCst) && to_client.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
            // Who is told nothing is not told that it is over either.
            if mute.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
        }
    });
    let forth = async {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = tokio::select! {
                read = from_client.read(&mut buffer) => read.unwrap_or(0),
                () = rule.closed.notified() => break,
            };
            if read == 0 {
                break;
            }
            rule.heard(made).await;
            let message = &buffer[..read];
            let marked = {
                let marker = rule.marker.lock();
                !marker.is_empty() && message.windows(marker.len()).any(|window| window == marker.as_slice())
            };
            match rule.mode.load(Ordering::SeqCst) {
                // Closed while this one was not waiting to be told.
                CLOSED => break,
                CUT_REQUEST if marked => {
                    rule.cut();
                    break;
                }
                STALL_REQUEST if marked => {
                    mute.store(true, Ordering::SeqCst);
                    rule.cut();
                    tokio::time::sleep(SILENCE).await;
                    break;
                }
                mode @ (CUT_ANSWER | STALL_ANSWER) if marked => {
                    mute.store(true, Ordering::SeqCst);
                    rule.cut();
                    to_server.write_all(message).await.unwrap();
                    // Long enough for the server to have committed.
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    if mode == STALL_ANSWER {
                        tokio::time::sleep(SILENCE).await;
                    }
                    break;
                }
                _ if to_server.write_all(message).await.is_err() => break,
                _ => {}
            }
        }
    };
    let stranded = tokio::select! { () = forth => false, () = rule.left(made) => true };
    if stranded {
        // A server asks now and then whether anybody is there.
        tokio::time::sleep(NOTICED).await;
        drop(to_server);
        std::future::pending::<()>().await;
    }
    answers.abort();
}

impl Rule {
    fn cut(&self) {
        self.cuts.fetch_add(1, Ordering::SeqCst);
        self.mode.store(PASS, Ordering::SeqCst);
    }
}
