//! Devices that post unique texts without pause.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use muniment::app::demo::device::{Device, Route};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use crate::service::{Firm, HOST, Origin, TOKEN};

/// Posting until it is told to stop.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    attempts: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    runtime: tokio::runtime::Runtime,
}

impl Load {
    /// Starts `devices` clients with the credential of one device.
    pub(super) fn start(firm: &Firm, origin: &Origin, credential: (String, String), devices: usize) -> Self {
        Self::named("", firm, origin, credential, devices)
    }

    /// The same; every text begins with this name.
    pub(super) fn named(
        name: &'static str,
        firm: &Firm,
        origin: &Origin,
        credential: (String, String),
        devices: usize,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (stop, attempts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = client(firm, origin, credential);
        let tasks = (0..devices)
            .map(|number| runtime.spawn(post(client.clone(), name, number, Arc::clone(&stop), Arc::clone(&attempts))))
            .collect();
        Self { stop, attempts, tasks, runtime }
    }

    /// Ends it and gives the number of attempts.
    pub(super) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            self.runtime.block_on(task).unwrap();
        }
        self.attempts.load(Ordering::Relaxed)
    }
}

async fn post(device: Device, name: &'static str, number: usize, stop: Arc<AtomicBool>, attempts: Arc<AtomicU64>) {
    let mut count = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        attempts.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "status": format!("{name}device {number} says {count}") });
        // Every text is tried once, so that finding it twice is a fault of ours and never a client's retry.
        if device.send(Method::POST, "/api/v1/statuses", Some(&body)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn client(firm: &Firm, origin: &Origin, credential: (String, String)) -> Device {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(firm.root()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Device {
        route: Route::Proxy(SocketAddr::from(([127, 0, 0, 1], firm.proxy)), credential.0, credential.1),
        tls: Arc::new(tls),
        host: HOST.to_owned(),
        port: origin.address().port(),
        token: TOKEN.to_owned(),
    }
}
