//! Receipts: what the proxy holds from the moment a write is durable until the origin's answer is known.

use std::fmt;

use crate::exchange::Response;
use crate::record::{RecordId, words};

words! {
    /// Why there is no answer to a write.
    NoAnswer {
        /// It was never sent: the origin could not be reached, or the device left before the release.
        NotSent = "not_sent",
        /// The connection to the origin ended before an answer.
        ConnectionLost = "connection_lost",
        /// The origin took longer than the proxy waits.
        TimedOut = "timed_out",
        /// The origin's answer is not HTTP as the standards write it.
        Malformed = "malformed",
        /// The device left, and with it the connection to the origin.
        DeviceGone = "device_gone",
        /// Messages in an open channel are not answered one by one.
        Message = "message",
        /// The receipt was dropped without a word.
        Dropped = "dropped",
        /// The service stopped between the release and the answer.
        Restart = "restart",
        /// The machine that knew is lost for good; an operator said so.
        SourceLost = "source_lost",
    }
}

/// What became of a released write.
#[derive(Debug)]
pub enum Answer {
    /// The origin answered; `complete` is false where its body was cut off or capped.
    Response(Response),
    /// It did not.
    None(NoAnswer),
}

/// Proof that a write is durable. Hand it back with the origin's answer; dropped, it closes the capture as unknown.
#[must_use = "close it with the origin's answer"]
pub struct Receipt {
    record: Option<RecordId>,
    close: Option<Box<dyn FnOnce(Answer) + Send>>,
}

impl Receipt {
    /// A receipt for a durable record; `close` is called once, with the answer. It must not block.
    pub fn new(record: RecordId, close: impl FnOnce(Answer) + Send + 'static) -> Self {
        Self { record: Some(record), close: Some(Box::new(close)) }
    }

    /// A receipt for a request that turned out to hold nothing to keep: it may leave, and its answer matters to nobody.
    pub const fn nothing() -> Self {
        Self { record: None, close: None }
    }

    /// The record of the write; none when there was nothing to keep.
    #[must_use]
    pub const fn record(&self) -> Option<RecordId> {
        self.record
    }

    /// Closes the capture. Never blocks.
    pub fn close(mut self, answer: Answer) {
        self.finish(answer);
    }

    fn finish(&mut self, answer: Answer) {
        if let Some(close) = self.close.take() {
            close(answer);
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.finish(Answer::None(NoAnswer::Dropped));
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record {
            Some(record) => write!(f, "Receipt({record})"),
            None => f.write_str("Receipt(nothing)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_receipt_is_closed_once_whether_it_is_handed_back_or_dropped() {
        let (closed, dropped) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        for hand_back in [true, false] {
            let (closed, dropped) = (Arc::clone(&closed), Arc::clone(&dropped));
            let receipt = Receipt::new(RecordId::new(Uuid::nil()), move |answer| {
                let counter = if matches!(answer, Answer::None(NoAnswer::Dropped)) { &dropped } else { &closed };
                counter.fetch_add(1, Ordering::Relaxed);
            });
            if hand_back {
                receipt.close(Answer::None(NoAnswer::TimedOut));
            } else {
                drop(receipt);
            }
        }
        assert_eq!((closed.load(Ordering::Relaxed), dropped.load(Ordering::Relaxed)), (1, 1));
    }
}
