//! Accepts device connections, plain or over TLS, and owns their tasks: a bound on how many, and an end for each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::connect::{self, Arrival, Ended};
use super::end::End;
use super::io::{BoxIo, Gathered};
use super::refuse::Refuse;
use super::shared::Shared;
use super::spare::{Spare, is_exhausted};

/// A pause when the system gives no socket (too many open files), so that the loop does not spin.
const BREATH: Duration = Duration::from_millis(50);

/// Where devices connect, and how.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// Its own certificate, where it is a TLS listener.
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Accepts until the service stops. Tasks end with `abort` at the latest.
pub(crate) async fn accept(
    shared: Arc<Shared>,
    listener: Listener,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    abort: CancellationToken,
) {
    let mut spare = Spare::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.socket.accept() => accepted,
            () = shared.stop.cancelled() => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_exhausted(&error) && spare.give() => {
                // It may have left already: then the next one is let go of.
                if let Ok(Ok(refused)) = timeout(BREATH, listener.socket.accept()).await {
                    drop(refused);
                    shared.metrics.refused(Refuse::Overloaded.as_str());
                }
                spare.take();
                continue;
            }
            Err(error) => {
                tracing::warn!(error = %error, "no connection can be accepted");
                tokio::time::sleep(BREATH).await;
                spare.take();
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            // Nothing can be said before a handshake or a head, and neither may cost anything now.
            shared.metrics.refused(Refuse::Overloaded.as_str());
            continue;
        };
        let span = tracing::info_span!("proxy.connection", device.addr = %from);
        let (shared, tls, abort) = (Arc::clone(&shared), listener.tls.clone(), abort.clone());
        tasks.spawn(
            async move {
                let _place = place;
                shared.metrics.connection_opened();
                let began = Instant::now();
                let ended = tokio::select! {
                    ended = serve(&shared, stream, from, tls) => ended,
                    () = abort.cancelled() => Ended { end: End::Stopped, device: None, authority: None },
                };
                shared.metrics.connection_closed();
                note(&ended, began.elapsed());
            }
            .instrument(span),
        );
    }
}

async fn serve(shared: &Arc<Shared>, stream: TcpStream, from: SocketAddr, tls: Option<TlsAcceptor>) -> Ended {
    let over = |end| Ended { end, device: None, authority: None };
    if stream.set_nodelay(true).is_err() {
        return over(End::DeviceGone);
    }
    let Some(tls) = tls else {
        return connect::serve(shared, Box::new(Gathered::new(stream)), Arrival { from, encrypted: false }).await;
    };
    match timeout(shared.limits.head_timeout, tls.accept(Gathered::new(stream))).await {
        Ok(Ok(stream)) => {
            let io: BoxIo = Box::new(stream);
            connect::serve(shared, io, Arrival { from, encrypted: true }).await
        }
        Ok(Err(_)) => over(End::DeviceGone),
        Err(_elapsed) => over(End::DeviceStalled),
    }
}

/// One line for each connection: how it ended. Ids and the target, nothing that was said.
fn note(ended: &Ended, took: Duration) {
    let device = ended.device.map(|device| device.id.to_string());
    let advisor = ended.device.map(|device| device.advisor.to_string());
    let authority = ended.authority.as_ref().map(ToString::to_string);
    tracing::info!(
        device.id = device,
        advisor.id = advisor,
        upstream.authority = authority,
        reason = ended.end.as_str(),
        duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "connection ended"
    );
}
