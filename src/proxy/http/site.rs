//! One origin as one device reaches it: the target of a tunnel, or of an absolute-form request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::capture::{Gap, GapCause};
use crate::exchange::{Authority, Connection, Protocol, Scheme, UpstreamFacts};
use crate::proxy::device::Device;
use crate::proxy::shared::Shared;
use crate::proxy::upstream::Upstreams;

/// What a connection's exchanges have in common.
pub(crate) struct Site {
    pub(crate) shared: Arc<Shared>,
    pub(crate) scheme: Scheme,
    /// Whether its exchanges are looked at. Unlisted ones reach this place in absolute form only, and are forwarded.
    pub(crate) listed: bool,
    pub(crate) upstreams: Upstreams,
    /// The state of the directory in which the device was known last.
    confirmed: AtomicU64,
    /// The device is none any more: what has no next request ends.
    pub(crate) revoked: CancellationToken,
    connection: Mutex<Arc<Connection>>,
}

impl Site {
    pub(crate) fn new(
        shared: Arc<Shared>,
        (device, generation): (Device, u64),
        device_address: SocketAddr,
        scheme: Scheme,
        authority: Authority,
        protocol: Protocol,
        listed: bool,
    ) -> Self {
        let upstreams = Upstreams::new(
            Arc::clone(&shared.dialler),
            shared.drivers.clone(),
            authority.clone(),
            scheme == Scheme::Https,
        );
        let connection = Connection {
            device: device.id,
            advisor: device.advisor,
            device_address,
            authority,
            protocol,
            upstream: None,
        };
        let confirmed = AtomicU64::new(generation);
        let (revoked, connection) = (CancellationToken::new(), Mutex::new(Arc::new(connection)));
        Self { shared, scheme, listed, upstreams, confirmed, revoked, connection }
    }

    /// Does what is done here, and tells it when the device is revoked.
    pub(crate) async fn watched<F: Future>(&self, work: Pin<&mut F>) -> F::Output {
        let device = self.connection.lock().device;
        let revoked = async {
            self.shared.gate.revoked(device, &self.confirmed).await;
            self.revoked.cancel();
            std::future::pending::<Infallible>().await
        };
        // Looked at first: whoever always has something to do is revoked as well.
        tokio::select! {
            biased;
            never = revoked => match never {},
            done = work => done,
        }
    }

    /// Whether the device may still use what was opened to it. Costs nothing while nobody comes or goes.
    pub(crate) async fn device_stands(&self) -> bool {
        let device = self.connection.lock().device;
        self.shared.gate.stands(device, &self.confirmed).await
    }

    pub(crate) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection.lock())
    }

    /// Whether it is this place, looked at in this way.
    pub(crate) fn is(&self, scheme: Scheme, authority: &Authority, listed: bool) -> bool {
        self.scheme == scheme && self.listed == listed && self.connection.lock().authority == *authority
    }

    /// The device leg's protocol, once it is negotiated.
    pub(crate) fn speaks(&self, protocol: Protocol) {
        let mut connection = self.connection.lock();
        if connection.protocol != protocol {
            let changed = Connection { protocol, ..(**connection).clone() };
            *connection = Arc::new(changed);
        }
    }

    /// The connection with what this upstream showed.
    pub(crate) fn reached(&self, facts: &UpstreamFacts) -> Arc<Connection> {
        let mut connection = self.connection.lock();
        let known = connection
            .upstream
            .as_ref()
            .is_some_and(|known| known.address == facts.address && known.chain_digest == facts.chain_digest);
        if !known {
            let changed = Connection { upstream: Some(facts.clone()), ..(**connection).clone() };
            *connection = Arc::new(changed);
        }
        Arc::clone(&connection)
    }

    /// Notes a gap, on a listed host; of the others nothing is known, and nothing is missing.
    pub(crate) fn gap(&self, cause: GapCause) {
        if self.listed {
            self.note(Gap::on(cause, &self.connection()));
        }
    }

    pub(crate) fn note(&self, gap: Gap) {
        if self.listed {
            self.shared.recorder.gap(gap);
        }
    }
}
