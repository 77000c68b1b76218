//! Gaps: what was seen but could not be kept or could not be read, and why.
//!
//! Invariant: a gap names its cause by a word of this list, and each word has a test whose fault produces it (`p4_gaps`): a cause
//! comes with the code that raises it. Hosts are commitments in the entry and sealed beside it.

use std::sync::Arc;

use crate::exchange::Connection;
use crate::record::{AdvisorId, DeviceId, EntryId, ExchangeId, Timestamp, words};

words! {
    /// Why something is missing.
    GapCause {
        /// A device refused our leaf: its app trusts one certificate only.
        LeafRefused = "leaf_refused",
        /// A host that is not listed says of itself that it is a social server.
        UnlistedSocialHost = "unlisted_social_host",
        /// Settings or a rule say that this host is tunnelled unread.
        PassedThrough = "passed_through",
        /// After CONNECT to an intercepted host came a request in clear text.
        ClearTextAfterConnect = "clear_text_after_connect",
        /// After CONNECT to an intercepted host came neither TLS nor HTTP.
        UnknownProtocol = "unknown_protocol",
        /// The origin did not prove who it is, so nothing was sent to it.
        OriginUnproved = "origin_unproved",
        /// The connection was switched to a protocol that cannot be read.
        UnknownUpgrade = "unknown_upgrade",
        /// What came is not HTTP as the standards write it, and was refused.
        MalformedExchange = "malformed_exchange",
        /// A content coding or compression that cannot be undone within its bounds.
        UnreadableCoding = "unreadable_coding",
        /// A write is larger than what may be held, and was refused.
        WriteTooLarge = "write_too_large",
        /// A write could not be made durable, and was refused.
        WriteRefused = "write_refused",
        /// The origin received the body of a write whose end was never released.
        WriteCut = "write_cut",
        /// A response passed the bound of what is looked at.
        ReadCapped = "read_capped",
        /// A response ended before its framing said so.
        ReadCut = "read_cut",
        /// A read came faster than it could be looked at.
        ReadDropped = "read_dropped",
        /// An inbound message came faster than it could be looked at, or was larger than its bound.
        MessageDropped = "message_dropped",
        /// What the origin answered could not be kept whole.
        AnswerDropped = "answer_dropped",
        /// The account that an exchange showed could not be put on record; the next one that shows it tries again.
        AccountDropped = "account_dropped",
        /// A rule could not be applied to an exchange; writes were kept raw.
        RecognitionFailed = "recognition_failed",
        /// A rule did not end in time, or ended its worker; it is no longer applied.
        RuleSwitchedOff = "rule_switched_off",
        /// The archive was away; what was kept meanwhile waited in the spool.
        ArchiveUnavailable = "archive_unavailable",
        /// A proxy is lost for good; what it had kept and not appended is not known.
        SourceLost = "source_lost",
        /// Bytes of the spool do not open any more.
        SpoolDamaged = "spool_damaged",
        /// The archive did not take what the spool held.
        SpoolRejected = "spool_rejected",
    }
}

/// One thing that is missing. Repeats of the same cause, host and device become one entry with a count.
#[derive(Debug, Clone)]
pub struct Gap {
    /// Why.
    pub cause: GapCause,
    /// The host concerned; kept sealed, never in the clear.
    pub host: Option<String>,
    /// The device concerned.
    pub device: Option<DeviceId>,
    /// Whose stream it belongs to.
    pub advisor: Option<AdvisorId>,
    /// The network, by the name of its rule file.
    pub network: Option<Arc<str>>,
    /// The exchange concerned.
    pub exchange: Option<ExchangeId>,
    /// The entry of the capture concerned.
    pub capture: Option<EntryId>,
    /// How many bytes, where that is known.
    pub size: Option<u64>,
    /// How many times; 1 unless somebody counted already.
    pub count: u64,
    /// When it began, if not just now.
    pub from: Option<Timestamp>,
}

impl Gap {
    /// A gap of which nothing but the cause is known.
    #[must_use]
    pub const fn new(cause: GapCause) -> Self {
        Self {
            cause,
            host: None,
            device: None,
            advisor: None,
            network: None,
            exchange: None,
            capture: None,
            size: None,
            count: 1,
            from: None,
        }
    }

    /// A gap on a device's connection.
    #[must_use]
    pub fn on(cause: GapCause, connection: &Connection) -> Self {
        Self {
            host: Some(connection.authority.host().to_owned()),
            device: Some(connection.device),
            advisor: Some(connection.advisor),
            ..Self::new(cause)
        }
    }

    /// In this exchange.
    #[must_use]
    pub const fn exchange(mut self, exchange: ExchangeId) -> Self {
        self.exchange = Some(exchange);
        self
    }

    /// Of this capture.
    #[must_use]
    pub const fn capture(mut self, capture: EntryId) -> Self {
        self.capture = Some(capture);
        self
    }

    /// Of this network.
    #[must_use]
    pub fn network(mut self, network: Option<Arc<str>>) -> Self {
        self.network = network;
        self
    }

    /// Of this many bytes.
    #[must_use]
    pub const fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }
}
