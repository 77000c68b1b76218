//! [`Archive`]: what holds the parts together, from opening to closing.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;

use super::append::{Appender, Setting};
use super::blobs::BlobStore;
use super::connect::{self, Role};
use super::people::Limits;
use super::pool::Pool;
use super::submission::{Append, Appended, Submission};
use super::{AppendError, ArchiveError, Inconsistency, source};
use crate::ledger::{Actor, Commitments, Draft, EntryType, SigningKey};
use crate::record::{Clock, EntryId, Ids, MasterKey, SourceId, Word};
use crate::telemetry::Metrics;

/// What an archive is opened with.
#[derive(Clone)]
pub struct Options {
    /// The login of the running service; it takes the roles.
    pub service: PgConnectOptions,
    /// Where the source id and the last checkpoint are kept.
    pub data_dir: PathBuf,
    /// Where large content is kept.
    pub blobs: PathBuf,
    /// Opens record keys.
    pub master: MasterKey,
    /// Signs checkpoints; its name is the log's origin.
    pub signing: SigningKey,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn Ids>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Connections for reading.
    pub connections: u32,
    /// How long an append may take.
    pub append_timeout: Duration,
    /// Refuse a server that may lose what it acknowledges. Only throw-away servers of tests do without.
    pub durable: bool,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("data_dir", &self.data_dir).field("blobs", &self.blobs).finish_non_exhaustive()
    }
}

/// Connections for questions that each take a look-up by key.
const DOOR: u32 = 4;

/// The archive of one firm. Cheap to clone; all clones share one writer.
#[derive(Clone)]
pub struct Archive {
    pub(super) parts: Arc<Parts>,
}

pub(super) struct Parts {
    pub(super) appender: Appender,
    /// Reads, and inserts credentials.
    pub(super) reader: Pool,
    /// Who is who: what a device or an officer waits for at the door, and what capture recalls. A pool of its own, so that no number of
    /// slow searches keeps a device out, or a revocation from being noticed.
    pub(super) door: Pool,
    pub(super) publisher: Pool,
    pub(super) projector: Pool,
    pub(super) blobs: BlobStore,
    pub(super) options: Options,
    pub(super) source: SourceId,
    /// The limits of officers' tokens, by the entry that registered them.
    pub(super) limits: Mutex<HashMap<u64, Limits>>,
    /// Held by whoever changes a webhook.
    pub(super) webhooks: tokio::sync::Mutex<()>,
    /// Held by whoever changes a matter or a hold.
    pub(super) matters: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("source", &self.parts.source).finish_non_exhaustive()
    }
}

impl Archive {
    /// Opens the archive: checks roles, schema and head, and starts the writer. The database must have been migrated.
    ///
    /// # Errors
    /// See [`ArchiveError`]; an inconsistent ledger is not opened.
    pub async fn open(options: Options) -> Result<Self, ArchiveError> {
        connect::check(&options.service, options.durable).await?;
        let blobs = BlobStore::open(&options.blobs)?;
        let source = source::load_or_make(&options.data_dir, &*options.ids)?;
        options.metrics.node(source);
        let setting = Setting {
            login: options.service.clone(),
            source,
            clock: Arc::clone(&options.clock),
            ids: Arc::clone(&options.ids),
            metrics: Arc::clone(&options.metrics),
            patience: options.append_timeout,
        };
        let (appender, is_new_source) = Appender::start(setting).await?;
        let login = &options.service;
        let archive = Self {
            parts: Arc::new(Parts {
                appender,
                reader: connect::pool(login, Role::Append, connect::STATEMENT, options.connections.max(1)),
                door: connect::pool(login, Role::Append, connect::DOOR, DOOR),
                publisher: connect::pool(login, Role::Publish, connect::PUBLISH, 2),
                projector: connect::projectors(login, options.append_timeout, 2),
                blobs,
                source,
                limits: Mutex::default(),
                webhooks: tokio::sync::Mutex::default(),
                matters: tokio::sync::Mutex::default(),
                options,
            }),
        };
        // Before the first entry of ours: a restored old database must not be appended to unnoticed.
        archive.check_guard().await?;
        if is_new_source {
            archive.append(Submission::plain(archive.source_draft()?)).await?;
        }
        Ok(archive)
    }

    /// The first entry of a source says that it is one.
    fn source_draft(&self) -> Result<Draft, ArchiveError> {
        let detail: Map<String, Value> = [
            ("change", Value::from("added")),
            ("id", Value::from(self.parts.source.to_string())),
            ("subject", Value::from("source")),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        Ok(self.draft(EntryType::Identity, Actor::Service(service_word()?), detail))
    }

    /// A draft of ours that commits to nothing and belongs to nobody.
    pub(super) fn draft(&self, entry_type: EntryType, actor: Actor, detail: Map<String, Value>) -> Draft {
        Draft {
            id: EntryId::new(self.parts.options.ids.fresh()),
            entry_type,
            actor,
            captured_at: self.parts.options.clock.now(),
            record: None,
            streams: Vec::new(),
            commitments: Commitments::new(),
            detail,
        }
    }

    /// How many entries the ledger has, as far as this process knows.
    #[must_use]
    pub fn size(&self) -> watch::Receiver<u64> {
        self.parts.appender.size()
    }

    /// Why nothing is appended any more, if so.
    #[must_use]
    pub fn stopped(&self) -> Option<Inconsistency> {
        self.parts.appender.stopped()
    }

    /// Large content.
    #[must_use]
    pub fn blobs(&self) -> &BlobStore {
        &self.parts.blobs
    }

    /// Which source this process is.
    #[must_use]
    pub fn source(&self) -> SourceId {
        self.parts.source
    }

    /// Finishes the appends that wait, and lets go of every connection.
    pub async fn close(&self) {
        self.parts.appender.close().await;
        self.parts.reader.close().await;
        self.parts.door.close().await;
        self.parts.publisher.close().await;
        self.parts.projector.close().await;
    }
}

/// What the archive calls itself as an actor.
pub(super) fn service_word() -> Result<Word, ArchiveError> {
    let problem = ArchiveError::Row { table: "ledger.entries", problem: "a word of ours is not one" };
    Word::try_from("archive").map_err(|_source| problem)
}

impl Append for Archive {
    fn append(&self, submission: Submission) -> BoxFuture<'_, Result<Appended, AppendError>> {
        self.parts.appender.append(submission).boxed()
    }
}
