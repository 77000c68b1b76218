//! Reads a log over its API: the newest checkpoint, and entries as C2SP `tlog-tiles` bundles.
//!
//! Invariant: nothing that is read is believed; the walk and the root decide. A log that is slow or busy is asked again a few times, and then the
//! audit ends and is taken up where the last one ended.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::AuditError;
use crate::ledger::{NOTE_MAX, TILE_WIDTH, TilePath, parse_bundle};
use crate::settings::Upstream;
use crate::witness::client::{Ask, Client};
use crate::witness::{LogEntry, Target};

/// Time for one answer: up to 256 entries of 64 KiB.
const ANSWER: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// 256 entries, each with its size.
const BUNDLE_MAX: usize = 256 * (65_535 + 2);
const WIDTH: u64 = TILE_WIDTH as u64;

/// A log to read.
pub struct LogReader {
    client: Client,
    target: Target,
    token: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader").field("target", &self.target).finish_non_exhaustive()
    }
}

impl LogReader {
    /// Reads the log of this entry of the settings, with a token of its API where there is one.
    ///
    /// # Errors
    /// When there is no address, or none that can be meant.
    pub fn new(log: &LogEntry, token: Option<String>) -> Result<Self, AuditError> {
        let url = log.url.as_deref().ok_or(AuditError::NoLog)?;
        let target = Target::read(url).map_err(AuditError::Url)?;
        let upstream = Upstream {
            extra_roots: log.roots.clone(),
            resolve: std::collections::BTreeMap::new(),
            proxy: None,
            proxy_login: None,
            allow_networks: Vec::new(),
            ports: Vec::new(),
            connect_timeout: CONNECT,
        };
        Ok(Self { client: Client::new(&upstream)?, target, token: token.map(Zeroizing::new) })
    }

    pub(super) async fn checkpoint(&self) -> Result<Vec<u8>, AuditError> {
        Ok(self.get("/checkpoint", NOTE_MAX).await?.to_vec())
    }

    /// Entries from there on, in a log of `size`: those of one bundle.
    pub(super) async fn entries(&self, from: u64, size: u64) -> Result<Vec<Vec<u8>>, AuditError> {
        let index = from / WIDTH;
        let width = size.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH);
        let width = u16::try_from(width).unwrap_or(TILE_WIDTH);
        let path = format!("/{}", TilePath::Entries { index, width });
        let bytes = self.get(&path, BUNDLE_MAX).await?;
        let entries = parse_bundle(&bytes, width).map_err(|source| AuditError::Entries { from, source })?;
        let known = usize::try_from(from % WIDTH).unwrap_or(0);
        Ok(entries.into_iter().skip(known).map(<[u8]>::to_vec).collect())
    }

    async fn get(&self, path: &str, most: usize) -> Result<Bytes, AuditError> {
        let mut pause = FIRST_PAUSE;
        let mut why = String::new();
        for _try in 0..TRIES {
            let token = self.token.as_ref().map(|token| token.as_str());
            let ask = Ask { method: Method::GET, path, token, body: Bytes::new(), most };
            match self.client.ask(&self.target, ANSWER, ask).await {
                Ok(said) if said.status == StatusCode::OK => return Ok(said.body),
                Ok(said) if said.status.is_server_error() || said.status == StatusCode::TOO_MANY_REQUESTS => {
                    why = said.status.to_string();
                }
                Ok(said) => return Err(AuditError::Unread { path: path.to_owned(), why: said.status.to_string() }),
                Err(word) => word.clone_into(&mut why),
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        Err(AuditError::Unread { path: path.to_owned(), why })
    }
}
