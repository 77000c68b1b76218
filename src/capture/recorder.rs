//! The seam between the proxy and capture: everything the proxy may ask.

use futures_util::future::BoxFuture;

use super::{Answer, Gap, Receipt, Refusal};
use crate::exchange::{Connection, Exchange, Message, RequestHead};
use crate::recognize::Plan;

/// What the proxy knows of capture. `Capture` is the one in service; a proxy test may put its own in.
pub trait Recorder: Send + Sync {
    /// What to do with a request, from its head alone. Fast: it runs on every request of an intercepted connection.
    fn plan(&self, connection: &Connection, head: &RequestHead) -> Plan;

    /// P1: when this returns `Ok`, the record is durable and the request may leave. The exchange is still as it came:
    /// credentials are redacted in here. With `Keep::Head` the proxy hands over an empty body. A refused write is a gap that the
    /// recorder notes itself: whoever is refused notes nothing.
    fn write(&self, exchange: Exchange) -> BoxFuture<'_, Result<Receipt, Refusal>>;

    /// What the origin said to a released write. Never blocks.
    fn outcome(&self, receipt: Receipt, answer: Answer) {
        receipt.close(answer);
    }

    /// A read whose response was teed. Never blocks; what cannot be looked at becomes a gap. Whether a response that is not
    /// complete is one, the proxy knows: it was cut off, or the device left. A tee that passed its bound is
    /// not handed over but reported as [`super::GapCause::ReadCapped`].
    fn observe(&self, exchange: Exchange);

    /// One message of a channel. An outbound one may be relayed only on `Ok`; for an inbound one it never waits. A refused
    /// message is a gap that the recorder notes itself.
    fn message<'a>(
        &'a self,
        connection: &'a std::sync::Arc<Connection>,
        head: &'a RequestHead,
        message: Message,
    ) -> BoxFuture<'a, Result<(), Refusal>>;

    /// Something was seen that cannot be kept or read. Never blocks; an entry says so within a minute.
    fn gap(&self, gap: Gap);
}
